//! What tests read of a file.

use std::sync::Arc;

use arrow::datatypes::Schema;
use kestrel_planner::{
    catalog::{ColumnDef, SqlType},
    copy::{
        ColumnSource, CopyLayout, CopyParser, FileKind, FilePart, FileScan, Forced, Header,
        RecordFormat, TableShape,
    },
    functions::SessionFormats,
};
use kestrel_proto::DatanodeId;

/// A scan of column `b` into a table of which it is the only column.
pub(super) fn scan(part: FilePart, kind: FileKind, sql_type: SqlType) -> FileScan {
    let column = ColumnDef {
        id: 1,
        name: "b".into(),
        sql_type,
        not_null: false,
        default: None,
        identity: None,
    };
    let schema = Arc::new(Schema::new(vec![sql_type.field("b", false)]));
    let (table, schema_name): (String, String) = ("t".into(), "public".into());
    let layout = CopyLayout {
        table: table.clone(),
        columns: vec![column],
        forced: vec![Forced::default()],
        format: RecordFormat { csv: false, delimiter: b'\t', null: "".into(), quote: 0, escape: 0 },
        header: Header::None,
        formats: SessionFormats::default(),
        rejects: false,
    };
    let sources = vec![ColumnSource::Data(0)];
    let shape = TableShape { table, schema_name, schema, sources };
    FileScan {
        parser: CopyParser { layout, shape, is_last: true },
        kind,
        parts: vec![(DatanodeId(1), part)],
        rejects: None,
        names_files: false,
    }
}
