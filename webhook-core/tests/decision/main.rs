//! Review bytes in, decisions out.

#[cfg(test)]
mod explain;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod support;
