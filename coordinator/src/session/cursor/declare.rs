//! DECLARE, and the opening of a portal that Bind has made.

use std::sync::Arc;

use chrono::Utc;
use datafusion::{execution::memory_pool::MemoryConsumer, sql::sqlparser::ast};
use kestrel_planner::parse::{DeclareCursor, StatementKind};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    super::{ClientSession, Outcome, OutputField, RowsTag, Statement},
    kept::Room,
    rows::RowCursor,
};
use crate::server::{CursorTraits, Format, Parameter, Portal, PortalState, check_unchanged};

impl ClientSession {
    /// DECLARE.
    ///
    /// # Errors
    /// 25P01: outside of a transaction block, and not WITH HOLD. 42P03: the name is taken.
    pub(in super::super) async fn declare_cursor(
        &mut self,
        declare: &DeclareCursor,
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        let StatementKind::Query(query) = &declare.query.kind else {
            return Err(ErrorReport::internal("a cursor for something that is no query"));
        };
        let room = declare.scroll.then(|| self.cursor_room(&declare.name));
        let (fields, mut rows) = self.open_cursor(query, &declare.query, parameters, room).await?;
        if !declare.hold && !self.is_in_block() {
            return Err(ErrorReport::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            ));
        }
        self.portals.check_free(&declare.name)?;
        let ends_at_once = declare.hold && !self.is_in_block();
        // A database's own writes are read as they are when rows are fetched.
        let may_change = !self.transaction.wrote_on().is_empty();
        if ends_at_once || may_change {
            // Where the transaction ends at once, nothing could cancel this later.
            let room = self.cursor_room(&declare.name);
            self.within(&cancel, rows.hold(room)).await?;
        }
        let format = if declare.binary { Format::Binary } else { Format::Text };
        let portal = Portal {
            statement: Some(Arc::new(declare.query.clone())),
            parameters: parameters.to_vec(),
            formats: vec![format; fields.len()],
            fields: Some(fields),
            state: opened(rows),
            traits: CursorTraits {
                sql: statement.sql.clone(),
                created_at: Utc::now(),
                is_holdable: declare.hold,
                is_held: false,
                is_binary: declare.binary,
                is_scrollable: declare.scroll,
            },
        };
        self.portals.put(declare.name.clone(), portal);
        Ok(Outcome::Done("DECLARE CURSOR".into()))
    }

    /// Opens a portal that Bind has made and Execute has not run yet: FETCH may come first.
    ///
    /// # Errors
    /// 34000: there is no such portal. 55000: it has no rows to fetch. 0A000: its columns are not
    /// those any more that Bind has found.
    pub(super) async fn open_portal(&mut self, name: &str) -> Result<()> {
        let portal = self.portals.get(name).ok_or_else(|| unknown_cursor(name))?;
        let (statement, parameters) = match (&portal.state, &portal.statement) {
            (PortalState::Open { .. }, _) => return Ok(()),
            (PortalState::Bound, Some(statement)) => {
                (Arc::clone(statement), portal.parameters.clone())
            }
            _ => return Err(cannot_be_run(name)),
        };
        let StatementKind::Query(query) = &statement.kind else {
            return Err(cannot_be_run(name));
        };
        let (fields, rows) = self.open_forward_only(query, &statement, &parameters).await?;
        if let Some(portal) = self.portals.get_mut(name) {
            check_unchanged(portal.fields.as_deref(), &fields)?;
            portal.fields = Some(fields);
            portal.state = opened(rows);
        }
        Ok(())
    }

    /// A query's columns and its rows, forward only. It begins when the first row is asked for.
    pub(in super::super) async fn open_forward_only(
        &mut self,
        query: &ast::Query,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<(Vec<OutputField>, RowCursor)> {
        self.open_cursor(query, statement, parameters, None).await
    }

    /// A query's columns and its rows. It begins when the first row is asked for. With `room` the
    /// rows are kept there.
    async fn open_cursor(
        &mut self,
        query: &ast::Query,
        statement: &Statement,
        parameters: &[Parameter],
        room: Option<Room>,
    ) -> Result<(Vec<OutputField>, RowCursor)> {
        let cancel = CancellationToken::new();
        let (fields, mut start) = self.plan_select(query, statement, parameters, cancel).await?;
        // statement_timeout is for each FETCH.
        start.without_deadline();
        let rows = start.when_asked();
        let cursor = match room {
            Some(room) => RowCursor::scrollable(rows, room),
            None => RowCursor::forward_only(rows),
        };
        Ok((fields, cursor))
    }

    /// Where the rows go that a cursor keeps.
    pub(super) fn cursor_room(&self, name: &str) -> Room {
        let runtime = self.engine.cluster.state.runtime_env();
        let memory = MemoryConsumer::new(format!("cursor \"{name}\""));
        Room {
            memory: memory.register(&runtime.memory_pool),
            disk: Arc::clone(&runtime.disk_manager),
        }
    }
}

fn opened(rows: RowCursor) -> PortalState {
    let rows = Arc::new(Mutex::new(rows));
    PortalState::Open { rows, tag: RowsTag::Counted("SELECT"), cancel: CancellationToken::new() }
}

/// The error for a name that is not there (34000).
pub(super) fn unknown_cursor(name: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}

pub(super) fn cannot_be_run(name: &str) -> ErrorReport {
    let message = format!("portal \"{name}\" cannot be run");
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}
