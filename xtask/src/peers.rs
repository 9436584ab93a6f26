//! The real servers, agents and clients that demo and tests run against.
