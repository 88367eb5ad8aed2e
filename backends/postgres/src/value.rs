//! Parameters of statements.

use std::fmt;

use bytes::BytesMut;
use craftx_core::Uuid;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A parameter of a statement. It knows its type, so the server is never asked for it; and it shows nothing, so the log of
/// the client holds no content of messages.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Bool(bool),
    Int4(i32),
    Int8(i64),
    Uuid(Uuid),
    Text(&'a str),
    MaybeText(Option<&'a str>),
    MaybeData(Option<&'a [u8]>),
    Bools(&'a [bool]),
    Int2s(&'a [i16]),
    Int4s(&'a [i32]),
    Int8s(&'a [i64]),
    Uuids(&'a [Uuid]),
    Texts(&'a [String]),
    MaybeTexts(&'a [Option<String>]),
    Bytes(&'a [Vec<u8>]),
    MaybeBytes(&'a [Option<Vec<u8>>]),
}

impl Value<'_> {
    pub(crate) fn ty(&self) -> Type {
        match self {
            Self::Bool(_) => Type::BOOL,
            Self::Int4(_) => Type::INT4,
            Self::Int8(_) => Type::INT8,
            Self::Uuid(_) => Type::UUID,
            Self::Text(_) | Self::MaybeText(_) => Type::TEXT,
            Self::MaybeData(_) => Type::BYTEA,
            Self::Bools(_) => Type::BOOL_ARRAY,
            Self::Int2s(_) => Type::INT2_ARRAY,
            Self::Int4s(_) => Type::INT4_ARRAY,
            Self::Int8s(_) => Type::INT8_ARRAY,
            Self::Uuids(_) => Type::UUID_ARRAY,
            Self::Texts(_) | Self::MaybeTexts(_) => Type::TEXT_ARRAY,
            Self::Bytes(_) | Self::MaybeBytes(_) => Type::BYTEA_ARRAY,
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Bool(value) => value.to_sql(ty, out),
            Self::Int4(value) => value.to_sql(ty, out),
            Self::Int8(value) => value.to_sql(ty, out),
            Self::Uuid(value) => value.to_sql(ty, out),
            Self::Text(value) => value.to_sql(ty, out),
            Self::MaybeText(value) => value.to_sql(ty, out),
            Self::MaybeData(value) => value.to_sql(ty, out),
            Self::Bools(values) => values.to_sql(ty, out),
            Self::Int2s(values) => values.to_sql(ty, out),
            Self::Int4s(values) => values.to_sql(ty, out),
            Self::Int8s(values) => values.to_sql(ty, out),
            Self::Uuids(values) => values.to_sql(ty, out),
            Self::Texts(values) => values.to_sql(ty, out),
            Self::MaybeTexts(values) => values.to_sql(ty, out),
            Self::Bytes(values) => values.to_sql(ty, out),
            Self::MaybeBytes(values) => values.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
