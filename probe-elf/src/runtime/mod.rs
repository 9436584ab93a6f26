//! What an executable is.
