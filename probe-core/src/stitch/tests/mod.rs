//! The stitcher's tests: scripts of events, and what must come out.

mod agents;
mod hops;
mod joins;
mod orders;
mod rendering;
mod world;
