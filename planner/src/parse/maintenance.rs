//! ANALYZE, VACUUM and CLUSTER.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    cursor::Cursor,
    name::{Identifier, QualifiedName},
    statement::StatementKind,
};

/// ANALYZE or VACUUM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// VERBOSE
    pub verbose: bool,
    /// VACUUM FULL
    pub full: bool,
    /// VACUUM ANALYZE
    pub analyze: bool,
    /// Empty: every table.
    pub tables: Vec<MaintenanceTarget>,
}

/// A table of ANALYZE or VACUUM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceTarget {
    /// The table.
    pub name: QualifiedName,
    /// Empty: all columns.
    pub columns: Vec<Identifier>,
}

/// CLUSTER
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterCommand {
    /// VERBOSE
    pub verbose: bool,
    /// `None`: every table that has clustering columns.
    pub table: Option<QualifiedName>,
    /// USING
    pub index: Option<Identifier>,
}

/// `CLUSTER [(VERBOSE)] [t [USING index]]`, `CLUSTER [VERBOSE] index ON t`
pub(super) fn cluster(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("CLUSTER")?;
    let mut verbose = cursor.eat("VERBOSE");
    if !verbose && cursor.token() == Some(&Token::LParen) {
        for mut option in cursor.parenthesized()?.split_commas() {
            let position = option.position();
            let name = option.word()?;
            if name != "verbose" {
                let message = format!("unrecognized CLUSTER option \"{name}\"");
                return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
            }
            verbose = !["off", "false", "0"].contains(&option.here());
            if !option.at_end() {
                option.advance();
            }
            option.expect_end()?;
        }
    }
    let mut command = ClusterCommand { verbose, table: None, index: None };
    if cursor.at_end() {
        return Ok(StatementKind::Cluster(command));
    }
    if cursor.is_word_at(1, "ON") {
        command.index = Some(cursor.identifier()?);
        cursor.expect("ON")?;
        command.table = Some(cursor.name()?);
        return Ok(StatementKind::Cluster(command));
    }
    command.table = Some(cursor.name()?);
    if cursor.eat("USING") {
        command.index = Some(cursor.identifier()?);
    }
    Ok(StatementKind::Cluster(command))
}

pub(super) fn analyze(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.advance();
    read("ANALYZE", &["verbose"], &["skip_locked"], cursor).map(StatementKind::Analyze)
}

pub(super) fn vacuum(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("VACUUM")?;
    let ignored = [
        "freeze",
        "disable_page_skipping",
        "skip_locked",
        "index_cleanup",
        "process_toast",
        "truncate",
        "parallel",
    ];
    read("VACUUM", &["full", "verbose", "analyze"], &ignored, cursor).map(StatementKind::Vacuum)
}

fn read(
    statement: &str,
    options: &[&str],
    ignored: &[&str],
    cursor: &mut Cursor<'_>,
) -> Result<Maintenance> {
    let mut command = Maintenance::default();
    if cursor.token() == Some(&Token::LParen) {
        for mut option in cursor.parenthesized()?.split_commas() {
            let position = option.position();
            let name = option.word()?.replace("analyse", "analyze");
            if !options.contains(&name.as_str()) && !ignored.contains(&name.as_str()) {
                let message = format!("unrecognized {statement} option \"{name}\"");
                return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
            }
            let is_off = ["off", "false", "0"].contains(&option.here());
            command.switch(&name, !is_off);
            if !option.at_end() {
                option.advance();
            }
            option.expect_end()?;
        }
    } else {
        for word in ["full", "freeze", "verbose", "analyze", "analyse"] {
            let name = word.replace("analyse", "analyze");
            let is_known = options.contains(&name.as_str()) || ignored.contains(&name.as_str());
            if is_known && cursor.eat(word) {
                command.switch(&name, true);
            }
        }
    }
    while !cursor.at_end() {
        let name = cursor.name()?;
        let has_columns = cursor.token() == Some(&Token::LParen);
        let columns = if has_columns { cursor.identifiers()? } else { Vec::new() };
        command.tables.push(MaintenanceTarget { name, columns });
        if !cursor.eat_token(&Token::Comma) {
            break;
        } else if cursor.at_end() {
            return cursor.fail();
        }
    }
    Ok(command)
}

impl Maintenance {
    fn switch(&mut self, option: &str, on: bool) {
        match option {
            "verbose" => self.verbose = on,
            "full" => self.full = on,
            "analyze" => self.analyze = on,
            // It changes how PostgreSQL works, not what the statement means here.
            _ => {}
        }
    }
}
