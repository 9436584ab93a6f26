//! What a scanner reports.

use super::scanner::Frame;

/// A value at a wanted path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A string.
    Text(Text<'a>),
    /// An object begins.
    Object,
    /// An array begins.
    Array,
    /// The object or array that was reported before ends; only where a schema names something
    /// inside it.
    Close,
    /// The JSON text of a value of [`super::Take::Raw`].
    Raw(Text<'a>),
}

/// A string, or as much of it as was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// The decoded text, ill-formed parts replaced by U+FFFD.
    pub text: &'a str,
    /// There was more of it.
    pub cut: bool,
}

impl<'a> Text<'a> {
    /// Whether the string on the wire was empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.cut
    }

    /// The text, if all of it is here.
    #[must_use]
    pub const fn whole(&self) -> Option<&'a str> {
        if self.cut { None } else { Some(self.text) }
    }
}

impl<'a> Value<'a> {
    /// The text of a string.
    #[must_use]
    pub const fn text(&self) -> Option<Text<'a>> {
        match self {
            Self::Text(text) => Some(*text),
            _ => None,
        }
    }

    /// The text of a string that was not cut.
    #[must_use]
    pub fn whole(&self) -> Option<&'a str> {
        self.text().and_then(|text| text.whole())
    }

    /// A count: an integer from 0, or a number without a fraction in another notation.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        let Self::Number(number) = self else {
            return None;
        };
        number.parse().ok().or_else(|| {
            let float: f64 = number.parse().ok()?;
            #[expect(clippy::cast_sign_loss, reason = "checked to be positive")]
            let whole = float as u64;
            (float >= 0.0 && float.fract() == 0.0 && float < 9.0e15).then_some(whole)
        })
    }

    /// An integer.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        let Self::Number(number) = self else {
            return None;
        };
        number.parse().ok().or_else(|| {
            let float: f64 = number.parse().ok()?;
            (float.fract() == 0.0 && float.abs() < 9.0e15).then_some(float as i64)
        })
    }

    /// A finite number.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        let Self::Number(number) = self else {
            return None;
        };
        number.parse().ok().filter(|float: &f64| float.is_finite())
    }

    /// A boolean.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(bool) => Some(*bool),
            _ => None,
        }
    }
}

/// Where in the arrays around it a value stands.
#[derive(Clone, Copy, Debug)]
pub struct At<'a>(pub(super) &'a [Frame]);

impl At<'_> {
    /// The index in the `level`-th array around the value, counted from the outside and 0; 0
    /// where there is no such array.
    #[must_use]
    pub fn index(&self, level: usize) -> u32 {
        self.0
            .iter()
            .filter_map(|frame| frame.index())
            .nth(level)
            .unwrap_or(0)
    }
}
