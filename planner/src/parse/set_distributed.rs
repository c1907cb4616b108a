//! `ALTER TABLE … SET [WITH (REORGANIZE = …)] [DISTRIBUTED …]`, as Greenplum has it.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    create_table::{DistributedBy, distributed_by},
    cursor::Cursor,
};

/// Where a table's rows are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetDistributed {
    /// REORGANIZE: the rows are written anew also when they may stay where they are.
    pub reorganize: bool,
    /// `None`: as it was declared before.
    pub distributed: Option<DistributedBy>,
}

/// `None`: it is another action.
pub(super) fn action(part: &mut Cursor<'_>) -> Result<Option<SetDistributed>> {
    if part.are_words("SET DISTRIBUTED") {
        part.expect("SET")?;
        let distributed = Some(distributed_by(part)?);
        return Ok(Some(SetDistributed { reorganize: false, distributed }));
    }
    if !part.eat("SET WITH") {
        return Ok(None);
    }
    let reorganize = reorganize(part)?;
    let distributed = match part.is_word("DISTRIBUTED") {
        true => Some(distributed_by(part)?),
        false => None,
    };
    Ok(Some(SetDistributed { reorganize, distributed }))
}

/// `(REORGANIZE = true)`: nothing else is stored in another way than before.
fn reorganize(part: &mut Cursor<'_>) -> Result<bool> {
    let options = part.parenthesized()?;
    let mut reorganize = false;
    for mut option in options.split_commas() {
        let position = option.position();
        let name = option.identifier()?.name;
        if !name.eq_ignore_ascii_case("reorganize") {
            let message = format!("unrecognized parameter \"{name}\"");
            let error = ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message);
            return Err(error.position(position));
        }
        reorganize = true;
        if option.eat_token(&Token::Eq) {
            let value = option.here().trim_matches('\'').to_ascii_lowercase();
            reorganize = match value.as_str() {
                "true" | "on" | "yes" | "1" => true,
                "false" | "off" | "no" | "0" => false,
                _ => return option.fail(),
            };
            option.advance();
        }
        option.expect_end()?;
    }
    Ok(reorganize)
}
