//! Calls in, spans with parents out.
