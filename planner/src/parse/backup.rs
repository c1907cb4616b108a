//! BACKUP: what `kestrel backup` asks a coordinator for. The words are ours.

use kestrel_proto::Result;

use super::{cursor::Cursor, statement::StatementKind};

/// BACKUP
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupStatement {
    /// A copy of the catalog, whose files the session keeps from being removed from then on.
    Catalog,
    /// One of these files.
    File {
        /// As the catalog names it.
        file: String,
        /// The datanode's name.
        datanode: String,
    },
}

/// `BACKUP CATALOG`, `BACKUP FILE 'segments/16385/1-2-3.parquet' ON dn1`
pub(super) fn backup(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("BACKUP")?;
    if cursor.eat("CATALOG") {
        return Ok(StatementKind::Backup(BackupStatement::Catalog));
    }
    cursor.expect("FILE")?;
    let file = cursor.string()?;
    cursor.expect("ON")?;
    let datanode = cursor.word()?;
    Ok(StatementKind::Backup(BackupStatement::File { file, datanode }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn its_two_forms_are_read_and_nothing_else() {
        let kind = |sql: &str| parse(sql).map(|statements| statements[0].kind.clone());
        let catalog = StatementKind::Backup(BackupStatement::Catalog);
        assert_eq!(kind("backup catalog"), Ok(catalog));
        let (file, datanode) = ("segments/7/1-2-3.parquet".into(), "dn12".into());
        let expected = StatementKind::Backup(BackupStatement::File { file, datanode });
        assert_eq!(kind("BACKUP FILE 'segments/7/1-2-3.parquet' ON dn12"), Ok(expected));
        for sql in ["BACKUP", "BACKUP TABLE t", "BACKUP FILE 'f'", "BACKUP CATALOG now"] {
            assert!(kind(sql).is_err(), "{sql}");
        }
    }
}
