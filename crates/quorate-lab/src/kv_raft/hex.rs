//! Bytes as hexadecimal digits, for texts.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

pub(super) fn to_hex(bytes: &[u8]) -> String {
    let digit = |number: u8| char::from(DIGITS[usize::from(number)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let number = |digit: u8| {
        let value = char::from(digit).to_digit(16).filter(|_| !digit.is_ascii_uppercase())?;
        u8::try_from(value).ok()
    };
    digits.chunks_exact(2).map(|pair| Some(number(pair[0])? << 4 | number(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_other_texts_are_refused() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&all)), Some(all));
        assert_eq!(to_hex(&[0x0f, 0xa0]), "0fa0");
        for bad in ["0", "0g", "AA", "é"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
