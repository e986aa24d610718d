//! Physical types as they are written in a bundle's schema.

use arrow_schema::{DataType, TimeUnit};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes one of the physical types of a [`Table`](crate::Table).
pub fn serialize<S: Serializer>(data_type: &DataType, serializer: S) -> Result<S::Ok, S::Error> {
    let name = match data_type {
        DataType::Int64 => "int64".into(),
        DataType::Float64 => "float64".into(),
        DataType::Utf8 => "text".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "time".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => return Err(serde::ser::Error::custom(format!("{other} is no type of a table"))),
    };
    serializer.serialize_str(&name)
}

/// Reads what [`serialize`] wrote.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataType, D::Error> {
    let name = String::deserialize(deserializer)?;
    let decimal = || {
        let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
        let (precision, scale) = (precision.parse::<u8>().ok()?, scale.parse::<i8>().ok()?);
        ((1..=38).contains(&precision) && (0..=38).contains(&scale)).then_some(DataType::Decimal128(precision, scale))
    };
    match name.as_str() {
        "int64" => Ok(DataType::Int64),
        "float64" => Ok(DataType::Float64),
        "text" => Ok(DataType::Utf8),
        "time" => Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        _ => decimal().ok_or_else(|| {
            D::Error::custom(format!("«{name}» is no type; there are int64, float64, text, time and decimal(p,s)"))
        }),
    }
}
