//! Commands as bytes: what scenarios submit, and how they are told in words.

/// Precedes a number: field 1 as a variable-length integer, as the talent-plan labs encode theirs.
const NUMBER: u8 = 0x08;

/// A number as a command, in as few bytes as it needs.
#[must_use]
pub fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![NUMBER];
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
    bytes
}

/// Words as a command.
#[must_use]
pub fn text(words: &str) -> Vec<u8> {
    words.as_bytes().to_vec()
}

/// A command as a failure names it.
#[must_use]
pub fn tell(command: &[u8]) -> String {
    /// More of a long command helps nobody.
    const SHOWN: usize = 24;
    if let Some(value) = as_number(command) {
        return value.to_string();
    }
    let words = String::from_utf8_lossy(command);
    if words.chars().any(char::is_control) {
        return format!("{} bytes {command:02x?}", command.len());
    }
    let shown: String = words.chars().take(SHOWN).collect();
    if shown.len() < words.len() { format!("`{shown}...`") } else { format!("`{shown}`") }
}

fn as_number(command: &[u8]) -> Option<u64> {
    let (&NUMBER, digits) = command.split_first()? else { return None };
    let (last, before) = digits.split_last()?;
    let is_number = last & 0x80 == 0 && before.iter().all(|byte| byte & 0x80 != 0);
    if !is_number || digits.len() > 10 {
        return None;
    }
    let value =
        digits.iter().rev().fold(0_u128, |value, byte| value << 7 | u128::from(byte & 0x7f));
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_as_they_were_meant() {
        for value in [0, 1, 127, 128, 101, 300, u64::MAX] {
            assert_eq!(tell(&number(value)), value.to_string());
        }
        assert_eq!(tell(&text("cmd-1")), "`cmd-1`");
        assert_eq!(tell(&text(&"x".repeat(5000))), format!("`{}...`", "x".repeat(24)));
        assert_eq!(tell(&[0x08, 0x80]), "2 bytes [08, 80]");
    }
}
