//! Times of this host's time zone.

use std::ffi::CString;
use std::mem::MaybeUninit;

/// `nanoseconds` since 1970 by a format of strftime(3); empty for what cannot be shown.
pub(super) fn time(nanoseconds: u64, format: &str) -> String {
    let Ok(format) = CString::new(format) else { return String::new() };
    let seconds = (nanoseconds / 1_000_000_000) as libc::time_t;
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both point to values of their types for the call, which fills in `parts` if it returns it.
    if unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) }.is_null() {
        return String::new();
    }
    let mut text = [0_u8; 64];
    // SAFETY: the buffer has the length that is said, the format ends with a zero, and `parts` was filled in.
    let length =
        unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), parts.as_ptr()) };
    String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_years_are_those_of_the_calendar() {
        // Noon: the same day in nearly every time zone.
        assert_eq!(time(1_000_036_800_000_000_000, "%b%d %Y"), "Sep09 2001");
        assert_eq!(time(u64::MAX, "%Y").len(), 4);
        assert_eq!(time(0, "a\0b"), "");
    }
}
