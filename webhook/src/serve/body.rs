//! Reads a body. Memory is paid for as bytes come: what a client announces costs nobody anything.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;

use super::Limits;
use super::room::{Place, Room, Share};
use super::shed;
use crate::metrics::Refusal;

/// What a body came to.
pub(super) enum Read {
    /// All of it, and the room that it takes.
    Whole(Vec<u8>, Place),
    /// There is no room for it; its first bytes.
    Prefix(Vec<u8>),
}

/// Bodies beyond this leave the last quarter of the room to those below: nearly all pods are.
const SMALL: usize = 256 << 10;

/// The least that is taken at once.
const STEP: usize = 16 << 10;

/// Reads a body of at most `limits.body` bytes. Without room only its first bytes are kept, but
/// the rest is read in any case, or the client would never come to read the answer.
pub(super) async fn read<B>(
    mut body: B,
    limits: &Limits,
    room: &Room,
    share: &Share,
    welcome: bool,
) -> Result<Read, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(limits.body);
    let mut kept = Kept {
        bytes: Vec::new(),
        place: room.take(0, share).filter(|_| welcome),
        announced: announced.min(limits.body),
        reserve: limits.bodies / 4,
    };
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Refusal::CutOff);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        seen += data.len();
        if seen > limits.body {
            return Err(Refusal::TooLarge);
        }
        kept.add(&data);
    }
    Ok(match kept.place {
        Some(place) => Read::Whole(kept.bytes, place),
        None => Read::Prefix(kept.bytes),
    })
}

struct Kept {
    bytes: Vec<u8>,
    /// None once there was no room.
    place: Option<Place>,
    announced: usize,
    reserve: usize,
}

impl Kept {
    fn add(&mut self, data: &[u8]) {
        if !self.fits(data.len()) {
            self.place = None;
            self.bytes.truncate(shed::PREFIX);
            self.bytes.shrink_to_fit();
        }
        let wanted = match self.place {
            Some(_) => data.len(),
            None => shed::PREFIX
                .saturating_sub(self.bytes.len())
                .min(data.len()),
        };
        self.bytes.extend_from_slice(&data[..wanted]);
    }

    /// Makes room for so many more bytes; false if there is none.
    fn fits(&mut self, more: usize) -> bool {
        let Some(place) = &mut self.place else {
            return false;
        };
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        let needed = length + more;
        if needed <= capacity {
            return true;
        }
        let ahead = (capacity * 2).max(STEP).min(self.announced);
        let size = needed.max(ahead);
        let leave = if size > SMALL { self.reserve } else { 0 };
        let grown = place.grow(size - capacity, leave);
        if grown {
            self.bytes.reserve_exact(size - length);
        }
        grown
    }
}
