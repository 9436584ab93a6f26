//! The answer to a review that there is no room for, from its first bytes alone.
//!
//! An API server writes the type and the request's uid first, and an answer wants no more.

use std::cell::RefCell;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};

use webhook_core::{BadReview, Decision, Doubt, unchanged};

/// How many of a body's first bytes are kept.
pub(super) const PREFIX: usize = 4096;

/// Answers a review of which only the first bytes are there: unchanged, for `doubt`.
pub(super) fn answer(prefix: &[u8], doubt: Doubt) -> Result<Decision, BadReview> {
    let seen = Seen::default();
    let mut json = serde_json::Deserializer::from_slice(prefix);
    // An error either way: it stops at the uid, or at the cut.
    let _stopped = json.deserialize_map(&seen);
    let Seen(fields) = seen;
    let Fields { kind, version, uid } = fields.into_inner();
    let review = serde_json::json!({
        "kind": kind,
        "apiVersion": version,
        "request": {"uid": uid.unwrap_or_default()},
    });
    unchanged(review.to_string().as_bytes(), doubt)
}

#[derive(Default)]
struct Seen(RefCell<Fields>);

#[derive(Default)]
struct Fields {
    kind: Option<String>,
    version: Option<String>,
    uid: Option<String>,
}

impl<'de> Visitor<'de> for &Seen {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a review")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "kind" => self.0.borrow_mut().kind = Some(map.next_value()?),
                "apiVersion" => self.0.borrow_mut().version = Some(map.next_value()?),
                "request" => map.next_value_seed(Request(self))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Request<'a>(&'a Seen);

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, request: D) -> Result<(), D::Error> {
        request.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "uid" {
                self.0.0.borrow_mut().uid = Some(map.next_value()?);
                return Err(A::Error::custom("enough is known"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use webhook_core::Outcome;

    const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",
        "request":{"uid":"705ab4f5","kind":{"kind":"Pod"},"object":{"spec":"#;

    #[test]
    fn the_first_bytes_are_enough() {
        let decision = answer(REVIEW.as_bytes(), Doubt::Overload).unwrap();
        assert_eq!(decision.outcome(), Outcome::FailOpen(Doubt::Overload));
        let answer: serde_json::Value = serde_json::from_slice(&decision.response()).unwrap();
        assert_eq!(answer["response"]["uid"], "705ab4f5");
        assert_eq!(answer["response"]["allowed"], true);
        assert!(answer["response"]["patch"].is_null());
    }

    #[test]
    fn without_a_uid_or_a_type_there_is_no_answer() {
        let end = REVIEW.find("f5\"").unwrap();
        for cut in 0..=end {
            assert!(answer(&REVIEW.as_bytes()[..cut], Doubt::Overload).is_err());
        }
        let other = REVIEW.replace("AdmissionReview", "Pod");
        assert_eq!(
            answer(other.as_bytes(), Doubt::Overload),
            Err(BadReview::Type)
        );
        assert!(answer(b"[1]", Doubt::Overload).is_err());
        assert!(answer(br#"{"request":"uid"}"#, Doubt::Overload).is_err());
    }
}
