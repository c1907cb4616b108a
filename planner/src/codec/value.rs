//! A value as text that keeps it exactly: the hexadecimal digits of its protobuf form.

use datafusion::scalar::ScalarValue;
use datafusion_proto::protobuf;
use kestrel_proto::{ErrorReport, Result};
use prost::Message;

/// XX000 for types that no table has.
pub fn encode_value(value: &ScalarValue) -> Result<String> {
    let message = protobuf::ScalarValue::try_from(value)
        .map_err(|error| ErrorReport::internal(format!("a value cannot be encoded: {error}")))?;
    Ok(message.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// XX000 for what [`encode_value`] did not make.
pub fn decode_value(text: &str) -> Result<ScalarValue> {
    let damaged = || ErrorReport::internal(format!("this is no encoded value: {text}"));
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let bytes: Option<Vec<u8>> = digits.map(byte).collect();
    let bytes = bytes.ok_or_else(damaged)?;
    let message = protobuf::ScalarValue::decode(bytes.as_slice()).map_err(|_| damaged())?;
    ScalarValue::try_from(&message).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_back() {
        let values = [
            ScalarValue::Int32(Some(-7)),
            ScalarValue::Utf8View(Some("é\n".into())),
            ScalarValue::Utf8View(None),
            ScalarValue::Decimal128(Some(1250), 15, 2),
            ScalarValue::FixedSizeBinary(16, Some(vec![7; 16])),
            ScalarValue::BinaryView(Some(vec![0, 255])),
            ScalarValue::TimestampMicrosecond(Some(1), Some("UTC".into())),
            ScalarValue::Boolean(Some(true)),
        ];
        for value in values {
            assert_eq!(decode_value(&encode_value(&value).unwrap()).unwrap(), value);
        }
        assert!(decode_value("xyz").is_err());
    }
}
