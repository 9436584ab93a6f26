//! Reads executables and libraries, values in and values out.
