//! Scans of files as messages.

use std::sync::Arc;

use datafusion::{error::Result, scalar::ScalarValue};
use datafusion_proto::protobuf;
use kestrel_proto::{
    DatanodeId,
    message::{self, FileHeader, column_source::Source},
};
use prost::Message;

use super::{decode_schema, encode_schema, internal};
use crate::{
    catalog::{ColumnDef, SqlType},
    copy::{
        ColumnSource, CopyLayout, CopyParser, FileKind, FilePart, FileScan, Forced, Header,
        RecordFormat, RejectLimit, RejectUnit, TableShape,
    },
    functions::SessionFormats,
};

/// With the parts that this datanode reads.
pub(super) fn encode(scan: &FileScan, executor: DatanodeId) -> Result<message::FileScan> {
    let CopyParser { layout, shape, is_last } = &scan.parser;
    let columns = layout.columns.iter().enumerate().map(|(at, column)| {
        let Forced { not_null, null } = layout.forced.get(at).copied().unwrap_or_default();
        message::FileColumn {
            name: column.name.clone(),
            r#type: column.sql_type.to_string(),
            force_not_null: not_null,
            force_null: null,
        }
    });
    let sources = shape.sources.iter().map(|source| {
        let source = match source {
            ColumnSource::Data(at) => Source::Column(*at as u32),
            ColumnSource::Value(value) => {
                Source::Value(protobuf::ScalarValue::try_from(value)?.encode_to_vec().into())
            }
        };
        Ok(message::ColumnSource { source: Some(source) })
    });
    let parts = scan.parts_of(executor).map(|part| message::FilePart {
        path: part.path.clone(),
        start: part.start,
        end: part.end,
        length: part.length,
    });
    Ok(message::FileScan {
        table: shape.table.clone(),
        schema_name: shape.schema_name.clone(),
        table_schema: encode_schema(&shape.schema),
        columns: columns.collect(),
        sources: sources.collect::<Result<_>>()?,
        records: match scan.kind {
            FileKind::Records => Some(encode_records(layout)),
            FileKind::Parquet => None,
        },
        parts: parts.collect(),
        is_last: *is_last,
        names_files: scan.names_files,
        rejects: scan.rejects.map(|limit| message::RejectLimit {
            count: limit.count,
            is_percent: limit.unit == RejectUnit::Percent,
            is_logged: limit.is_logged,
        }),
    })
}

fn encode_records(layout: &CopyLayout) -> message::FileRecords {
    let RecordFormat { csv, delimiter, null, quote, escape } = &layout.format;
    let header = match layout.header {
        Header::None => FileHeader::None,
        Header::Skip => FileHeader::Skip,
        Header::Match => FileHeader::Match,
    };
    message::FileRecords {
        csv: *csv,
        null: null.clone(),
        delimiter: (*delimiter).into(),
        quote: (*quote).into(),
        escape: (*escape).into(),
        header: header.into(),
    }
}

/// All its parts are read by `executor`.
pub(super) fn decode(scan: message::FileScan, executor: DatanodeId) -> Result<Arc<FileScan>> {
    let kind = if scan.records.is_some() { FileKind::Records } else { FileKind::Parquet };
    let (format, header) = decode_records(scan.records.unwrap_or_default())?;
    let forced = scan
        .columns
        .iter()
        .map(|column| Forced { not_null: column.force_not_null, null: column.force_null });
    let forced = forced.collect();
    let columns = scan.columns.into_iter().map(|column| {
        let sql_type = SqlType::parse(&column.r#type).ok_or_else(|| internal("a file's type"))?;
        let (default, identity) = (None, None);
        Ok(ColumnDef { id: 0, name: column.name, sql_type, not_null: false, default, identity })
    });
    let sources = scan.sources.into_iter().map(|source| match source.source {
        Some(Source::Column(at)) => Ok(ColumnSource::Data(at as usize)),
        Some(Source::Value(value)) => {
            let value = protobuf::ScalarValue::decode(value.as_ref());
            let value = value.map_err(|error| internal(&error.to_string()))?;
            Ok(ColumnSource::Value(ScalarValue::try_from(&value)?))
        }
        None => Err(internal("a column from nowhere")),
    });
    let parts = scan.parts.into_iter().map(|part| {
        let message::FilePart { path, start, end, length } = part;
        (executor, FilePart { path, start, end, length })
    });
    let layout = CopyLayout {
        table: scan.table.clone(),
        columns: columns.collect::<Result<_>>()?,
        forced,
        format,
        header,
        // The session's are found where the scan runs.
        formats: SessionFormats::default(),
        rejects: scan.rejects.is_some(),
    };
    let rejects = scan.rejects.map(|limit| RejectLimit {
        count: limit.count,
        unit: if limit.is_percent { RejectUnit::Percent } else { RejectUnit::Rows },
        is_logged: limit.is_logged,
    });
    let shape = TableShape {
        table: scan.table,
        schema_name: scan.schema_name,
        schema: decode_schema(&scan.table_schema)?,
        sources: sources.collect::<Result<_>>()?,
    };
    let parser = CopyParser { layout, shape, is_last: scan.is_last };
    let parts = parts.collect();
    Ok(Arc::new(FileScan { parser, kind, parts, rejects, names_files: scan.names_files }))
}

fn decode_records(records: message::FileRecords) -> Result<(RecordFormat, Header)> {
    let header = match records.header() {
        FileHeader::Unspecified | FileHeader::None => Header::None,
        FileHeader::Skip => Header::Skip,
        FileHeader::Match => Header::Match,
    };
    let byte = |byte: u32| u8::try_from(byte).map_err(|_| internal("a byte of a file's format"));
    let format = RecordFormat {
        csv: records.csv,
        delimiter: byte(records.delimiter)?,
        quote: byte(records.quote)?,
        escape: byte(records.escape)?,
        null: records.null,
    };
    Ok((format, header))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn a_datanode_reads_what_it_was_sent() {
        let column = |name: &str, sql_type| ColumnDef {
            id: 0,
            name: name.into(),
            sql_type,
            not_null: false,
            default: None,
            identity: None,
        };
        let columns =
            vec![column("a", SqlType::Numeric(9, 2)), column("b", SqlType::Varchar(Some(3)))];
        let fields = [
            SqlType::Varchar(Some(3)).field("b", true),
            SqlType::Integer.field("c", false),
            SqlType::Numeric(9, 2).field("a", false),
        ];
        let seven = ScalarValue::Int32(Some(7));
        let part =
            |at: u64| FilePart {
                path: "/data/é.csv".into(), start: at, end: at + 10, length: 100
            };
        let scan = FileScan {
            parser: CopyParser {
                layout: CopyLayout {
                    table: "t".into(),
                    columns: columns.clone(),
                    forced: vec![Forced { not_null: true, null: false }, Forced::default()],
                    format: RecordFormat {
                        csv: true,
                        delimiter: b'|',
                        null: "-".into(),
                        quote: b'"',
                        escape: b'\\',
                    },
                    header: Header::Match,
                    formats: SessionFormats::default(),
                    rejects: true,
                },
                shape: TableShape {
                    table: "t".into(),
                    schema_name: "s".into(),
                    schema: Arc::new(Schema::new(fields.to_vec())),
                    sources: vec![
                        ColumnSource::Data(1),
                        ColumnSource::Value(seven),
                        ColumnSource::Data(0),
                    ],
                },
                is_last: true,
            },
            kind: FileKind::Records,
            parts: vec![(DatanodeId(1), part(0)), (DatanodeId(2), part(10))],
            rejects: Some(RejectLimit { count: 9, unit: RejectUnit::Percent, is_logged: true }),
            names_files: true,
        };
        let sent = encode(&scan, DatanodeId(2)).unwrap();
        let read = decode(sent, DatanodeId(2)).unwrap();
        let mine = FileScan { parts: vec![(DatanodeId(2), part(10))], ..scan };
        assert_eq!(format!("{read:?}"), format!("{mine:?}"));
    }
}
