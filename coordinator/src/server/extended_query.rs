//! The extended protocol: statements prepared once, bound to parameters, fetched in pieces.

use std::sync::Arc;

use chrono::Utc;
use kestrel_proto::{ErrorReport, Result, SqlState};
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete,
    PortalSuspended,
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::backend::{Description, Session};
use super::clients::Running;
use super::conversation::Conversation;
use super::copy::copy_in;
use super::copy_out::{bytes_out, copy_out};
use super::decode::{decode_parameters, parameter_type};
use super::encode::{Format, RowEncoder};
use super::error_response::protocol_violation;
use super::failure::Failure;
use super::portals::{CursorTraits, Portal, PortalState};
use super::prepared::{PreparedStatement, check_unchanged};
use super::rows::{command_tag, row_description, send};
use crate::query::{canceled, until};
use crate::session::{Outcome, OutputField, RowCursor, RowsTag};

impl<S: Session> Conversation<S> {
    /// Parse.
    pub(super) async fn parse(&mut self, message: Parse) -> Result<(), Failure> {
        self.begin_batch();
        self.client.begins(&message.query);
        let name = message.name.unwrap_or_default();
        if name.is_empty() {
            // As in PostgreSQL, also when the new one fails.
            self.session.prepared_statements().remove("");
        }
        let types = message.type_oids.iter().map(|oid| parameter_type(*oid));
        let types: Vec<_> = types.collect::<Result<_>>()?;
        let mut statements = self.session.parse(&message.query)?;
        if statements.len() > 1 {
            return Err(ErrorReport::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            )
            .into());
        }
        let statement = statements.pop();
        self.check_usable(statement.as_ref())?;
        let description = match &statement {
            None => Description::default(),
            Some(statement) => {
                let running = self.client.running(CancellationToken::new());
                let work = self.session.describe(statement, &types);
                self.connection.attend(&running, work).await??
            }
        };
        let prepared = PreparedStatement {
            statement: statement.map(Arc::new),
            sql: message.query,
            description,
            declared: message.type_oids,
            prepared_at: Utc::now(),
            from_sql: false,
        };
        self.session.prepared_statements().insert(&name, prepared)?;
        self.connection.put(&ParseComplete::new());
        Ok(())
    }

    /// Bind.
    pub(super) fn bind(&mut self, message: Bind) -> Result<(), Failure> {
        self.begin_batch();
        let style = self.session.text_style();
        let name = message.statement_name.as_deref().unwrap_or_default();
        let statement = self.session.prepared_statements().get(name)?.statement.clone();
        self.check_usable(statement.as_deref())?;
        let prepared = self.session.prepared_statements().get(name)?;
        let expected = &prepared.description.parameters;
        if message.parameters.len() != expected.len() {
            return Err(protocol_violation(format!(
                "bind message supplies {} parameters, but prepared statement \"{name}\" requires {}",
                message.parameters.len(),
                expected.len()
            ))
            .into());
        }
        let formats = formats(&message.parameter_format_codes, expected.len(), || {
            format!(
                "bind message has {} parameter formats but {} parameters",
                message.parameter_format_codes.len(),
                expected.len()
            )
        })?;
        let portal = message.portal_name.unwrap_or_default();
        let called = match portal.as_str() {
            "" => "unnamed portal".to_string(),
            name => format!("portal \"{name}\""),
        };
        let parameters =
            decode_parameters(&called, expected, &formats, message.parameters, &style)?;
        let fields = prepared.description.fields.clone();
        let columns = fields.as_ref().map_or(0, Vec::len);
        let codes = &message.result_column_format_codes;
        let formats = formats_of_result(codes, columns)?;
        let traits = CursorTraits::of_protocol(prepared.sql.clone());
        let portals = self.session.portals();
        portals.check_free(&portal)?;
        let state = PortalState::Bound;
        let bound = Portal { statement, parameters, fields, formats, state, traits };
        portals.put(portal, bound);
        self.connection.put(&BindComplete::new());
        Ok(())
    }

    /// Describe. Of a statement the formats are not known yet, and shown as text.
    pub(super) fn describe(&mut self, message: Describe) -> Result<(), Failure> {
        self.begin_batch();
        let name = message.name.unwrap_or_default();
        let (statement, fields, formats, oids) = match message.target_type {
            b'S' => {
                let prepared = self.session.prepared_statements().get(&name)?;
                let fields = prepared.description.fields.clone();
                let formats = vec![Format::Text; fields.as_ref().map_or(0, Vec::len)];
                (prepared.statement.clone(), fields, formats, Some(prepared.parameter_oids()))
            }
            b'P' => {
                let portals = self.session.portals();
                let portal = portals.get(&name).ok_or_else(|| unknown_portal(&name))?;
                (portal.statement.clone(), portal.fields.clone(), portal.formats.clone(), None)
            }
            other => {
                let message = format!("invalid DESCRIBE message subtype {other}");
                return Err(protocol_violation(message).into());
            }
        };
        if fields.is_some() {
            self.check_usable(statement.as_deref())?;
        }
        if let Some(oids) = oids {
            self.connection.put(&ParameterDescription::new(oids));
        }
        match fields {
            Some(fields) => self.connection.put(&row_description(&fields, &formats)),
            None => self.connection.put(&NoData::new()),
        }
        Ok(())
    }

    /// Close. A name that is not there is no error.
    pub(super) fn close(&mut self, message: Close) -> Result<(), Failure> {
        let name = message.name.unwrap_or_default();
        match message.target_type {
            b'S' => {
                self.session.prepared_statements().remove(&name);
            }
            b'P' => {
                self.session.portals().remove(&name);
            }
            other => {
                let message = format!("invalid CLOSE message subtype {other}");
                return Err(protocol_violation(message).into());
            }
        }
        self.connection.put(&CloseComplete::new());
        Ok(())
    }

    /// Execute. A portal that fails is gone.
    pub(super) async fn execute_portal(&mut self, message: Execute) -> Result<(), Failure> {
        self.begin_batch();
        let name = message.name.unwrap_or_default();
        let limit = u64::try_from(message.max_rows).ok().filter(|rows| *rows > 0);
        let taken = self.session.portals().take(&name);
        let (number, mut portal) = taken.ok_or_else(|| unknown_portal(&name))?;
        self.client.begins(&portal.traits.sql);
        if let Err(report) = self.check_usable(portal.statement.as_deref()) {
            // It can go on when the error is undone.
            self.session.portals().put_back(name, (number, portal));
            return Err(report.into());
        }
        match &portal.state {
            PortalState::Bound => self.run_portal(&mut portal, limit).await?,
            PortalState::Open { cancel, .. } => {
                let running = self.client.running(cancel.clone());
                self.fetch(&portal, &running, limit).await?;
            }
            PortalState::Finished => {
                return Err(ErrorReport::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("portal \"{name}\" cannot be run"),
                )
                .into());
            }
        }
        self.session.portals().put_back(name, (number, portal));
        Ok(())
    }

    /// Errors: 25P02 in a transaction that has failed, unless the statement ends that.
    fn check_usable(&self, statement: Option<&S::Statement>) -> Result<()> {
        statement.map_or(Ok(()), |statement| self.session.check_usable(statement))
    }

    async fn run_portal(
        &mut self,
        portal: &mut Portal<S::Statement>,
        limit: Option<u64>,
    ) -> Result<(), Failure> {
        let Some(statement) = &portal.statement else {
            portal.state = PortalState::Finished;
            self.put_answer(None);
            return Ok(());
        };
        let running = self.client.running(CancellationToken::new());
        if limit.is_some() {
            let (notices, cancel) = (self.connection.notice_sender(), running.cancel.clone());
            let open = self.session.open(statement, &portal.parameters, notices, cancel);
            if let Some((fields, rows)) = self.connection.attend(&running, open).await?? {
                let opened = (fields, rows, RowsTag::Counted("SELECT"));
                return self.fetch_first(portal, opened, &running, limit).await;
            }
        }
        let tag = match self.execute(statement, &portal.parameters, &running).await? {
            Outcome::Rows { fields, rows, tag } => {
                let opened = (fields, RowCursor::forward_only(rows), tag);
                return self.fetch_first(portal, opened, &running, limit).await;
            }
            Outcome::Done(tag) => Some(tag),
            Outcome::CopyIn(copy) => {
                let client = (&mut self.connection, &mut self.session);
                Some(copy_in(client, &running, copy).await?)
            }
            Outcome::CopyOut(copy) => {
                let style = self.session.text_style();
                Some(copy_out(&mut self.connection, &running, copy, style).await?)
            }
            Outcome::Bytes(bytes) => Some(bytes_out(&mut self.connection, &running, bytes).await?),
            Outcome::Empty => None,
        };
        portal.state = PortalState::Finished;
        self.put_answer(tag);
        Ok(())
    }

    /// Opens a portal, and sends its first rows.
    async fn fetch_first(
        &mut self,
        portal: &mut Portal<S::Statement>,
        (fields, rows, tag): (Vec<OutputField>, RowCursor, RowsTag),
        running: &Running,
        limit: Option<u64>,
    ) -> Result<(), Failure> {
        check_unchanged(portal.fields.as_deref(), &fields)?;
        // The same types; how many digits a numeric has is known only now.
        portal.fields = Some(fields);
        let rows = Arc::new(Mutex::new(rows));
        portal.state = PortalState::Open { rows, tag, cancel: running.cancel.clone() };
        self.fetch(portal, running, limit).await
    }

    /// Sends rows of an open portal.
    async fn fetch(
        &mut self,
        portal: &Portal<S::Statement>,
        running: &Running,
        limit: Option<u64>,
    ) -> Result<(), Failure> {
        let PortalState::Open { rows, tag, .. } = &portal.state else {
            return Err(ErrorReport::internal("a portal without rows was fetched from").into());
        };
        let fields = portal.fields.as_deref().unwrap_or_default();
        let encoder = RowEncoder::new(fields, &portal.formats, self.session.text_style());
        let deadline = self.session.deadline();
        let mut rows = rows.lock().await;
        let sent = tokio::select! {
            biased;
            () = until(deadline) => return Err(canceled("statement timeout").into()),
            sent = send(&mut self.connection, running, &mut rows, &encoder, limit) => sent?,
        };
        if sent.is_suspended {
            self.connection.put_notices();
            self.connection.put(&PortalSuspended::new());
        } else {
            self.put_answer(Some(command_tag(tag, sent.rows)));
        }
        Ok(())
    }
}

/// One format per item: none given means text, one given is that of all.
fn formats(codes: &[i16], items: usize, mismatch: impl Fn() -> String) -> Result<Vec<Format>> {
    match codes {
        [] => Ok(vec![Format::Text; items]),
        [code] => Ok(vec![Format::from_code(*code)?; items]),
        codes if codes.len() == items => {
            codes.iter().map(|code| Format::from_code(*code)).collect()
        }
        _ => Err(protocol_violation(mismatch())),
    }
}

fn formats_of_result(codes: &[i16], columns: usize) -> Result<Vec<Format>> {
    formats(codes, columns, || {
        format!("bind message has {} result formats but query has {columns} columns", codes.len())
    })
}

fn unknown_portal(name: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
