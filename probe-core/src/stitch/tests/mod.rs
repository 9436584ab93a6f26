//! The stitcher's tests: scripts of events, and what must come out.

mod addresses;
mod agents;
mod doubts;
mod early;
mod goroutines;
mod hops;
mod inside;
mod joins;
mod limits;
mod matching;
mod named;
mod orders;
mod rendering;
mod sdk;
mod servers;
mod world;
