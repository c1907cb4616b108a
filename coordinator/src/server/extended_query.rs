//! The extended protocol: statements prepared once, bound to parameters, fetched in pieces.

use std::mem;

use kestrel_proto::{ErrorReport, Result, SqlState};
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete,
    PortalSuspended,
};
use tokio_util::sync::CancellationToken;

use super::backend::{Description, Parameter, Session};
use super::clients::Running;
use super::conversation::Conversation;
use super::copy::copy_in;
use super::copy_out::copy_out;
use super::decode::{decode_parameters, parameter_type};
use super::encode::{Format, RowEncoder};
use super::error_response::protocol_violation;
use super::failure::Failure;
use super::prepared::PreparedStatement;
use super::rows::{Cursor, command_tag, row_description};
use crate::session::{Outcome, OutputField, RowsTag};

/// A statement with its parameters, and how far it has run.
pub(super) struct Portal<S> {
    /// `None`: the empty statement.
    statement: Option<S>,
    parameters: Vec<Parameter>,
    fields: Option<Vec<OutputField>>,
    formats: Vec<Format>,
    state: PortalState,
}

enum PortalState {
    Bound,
    /// Some rows are sent; the stream is kept for the rest.
    Suspended(Cursor),
    /// All is done; the tag of a statement that returned rows.
    Finished(Option<RowsTag>),
}

impl<S: Session> Conversation<S> {
    /// Parse.
    pub(super) async fn parse(&mut self, message: Parse) -> Result<(), Failure> {
        self.begin_batch();
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
        let description = match &statement {
            None => Description::default(),
            Some(statement) => {
                let running = self.client.running(CancellationToken::new());
                let work = self.session.describe(statement, &types);
                self.connection.attend(&running, work).await??
            }
        };
        let prepared = PreparedStatement { statement, sql: message.query, description };
        let name = message.name.unwrap_or_default();
        self.session.prepared_statements().insert(&name, prepared)?;
        self.connection.put(&ParseComplete::new());
        Ok(())
    }

    /// Bind.
    pub(super) fn bind(&mut self, message: Bind) -> Result<(), Failure> {
        self.begin_batch();
        let style = self.session.text_style();
        let name = message.statement_name.as_deref().unwrap_or_default();
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
        let parameters = decode_parameters(expected, &formats, message.parameters, &style)?;
        let fields = prepared.description.fields.clone();
        let columns = fields.as_ref().map_or(0, Vec::len);
        let codes = &message.result_column_format_codes;
        let formats = formats_of_result(codes, columns)?;
        let statement = prepared.statement.clone();
        let portal = message.portal_name.unwrap_or_default();
        if !portal.is_empty() && self.portals.contains_key(&portal) {
            return Err(ErrorReport::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{portal}\" already exists"),
            )
            .into());
        }
        let state = PortalState::Bound;
        self.portals.insert(portal, Portal { statement, parameters, fields, formats, state });
        self.connection.put(&BindComplete::new());
        Ok(())
    }

    /// Describe. Of a statement the formats are not known yet, and shown as text.
    pub(super) fn describe(&mut self, message: Describe) -> Result<(), Failure> {
        self.begin_batch();
        let name = message.name.unwrap_or_default();
        let (fields, formats) = match message.target_type {
            b'S' => {
                let prepared = self.session.prepared_statements().get(&name)?;
                let Description { parameters, fields } = &prepared.description;
                let oids = parameters.iter().map(|parameter| parameter.oid()).collect();
                self.connection.put(&ParameterDescription::new(oids));
                let columns = fields.as_ref().map_or(0, Vec::len);
                (fields.clone(), vec![Format::Text; columns])
            }
            b'P' => {
                let portal = self.portals.get(&name).ok_or_else(|| unknown_portal(&name))?;
                (portal.fields.clone(), portal.formats.clone())
            }
            other => {
                let message = format!("invalid DESCRIBE message subtype {other}");
                return Err(protocol_violation(message).into());
            }
        };
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
                self.portals.remove(&name);
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
        let mut portal = self.portals.remove(&name).ok_or_else(|| unknown_portal(&name))?;
        match mem::replace(&mut portal.state, PortalState::Finished(None)) {
            PortalState::Bound => self.run_portal(&mut portal, limit).await?,
            PortalState::Suspended(cursor) => {
                let running = self.client.running(cursor.cancel.clone());
                self.fetch(&mut portal, cursor, &running, limit).await?;
            }
            PortalState::Finished(Some(tag)) => {
                self.put_answer(Some(command_tag(&tag, 0)));
                portal.state = PortalState::Finished(Some(tag));
            }
            PortalState::Finished(None) => {
                return Err(ErrorReport::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("portal \"{name}\" cannot be run"),
                )
                .into());
            }
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    async fn run_portal(
        &mut self,
        portal: &mut Portal<S::Statement>,
        limit: Option<u64>,
    ) -> Result<(), Failure> {
        let Some(statement) = &portal.statement else {
            self.put_answer(None);
            return Ok(());
        };
        let running = self.client.running(CancellationToken::new());
        let tag = match self.execute(statement, &portal.parameters, &running).await? {
            Outcome::Rows { fields, rows, tag } => {
                check_unchanged(portal.fields.as_deref(), &fields)?;
                let style = self.session.text_style();
                let encoder = RowEncoder::new(&fields, &portal.formats, style);
                let cursor = Cursor::new(rows, encoder, tag, running.cancel.clone());
                return self.fetch(portal, cursor, &running, limit).await;
            }
            Outcome::Done(tag) => Some(tag),
            Outcome::CopyIn(copy) => Some(copy_in(&mut self.connection, &running, copy).await?),
            Outcome::CopyOut(copy) => {
                let style = self.session.text_style();
                Some(copy_out(&mut self.connection, &running, copy, style).await?)
            }
            Outcome::Empty => None,
        };
        self.put_answer(tag);
        Ok(())
    }

    async fn fetch(
        &mut self,
        portal: &mut Portal<S::Statement>,
        mut cursor: Cursor,
        running: &Running,
        limit: Option<u64>,
    ) -> Result<(), Failure> {
        let sent = cursor.send(&mut self.connection, running, limit).await?;
        if sent.is_suspended {
            self.connection.put_notices();
            self.connection.put(&PortalSuspended::new());
            portal.state = PortalState::Suspended(cursor);
        } else {
            self.put_answer(Some(command_tag(&cursor.tag, sent.rows)));
            portal.state = PortalState::Finished(Some(cursor.tag));
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

/// The client reads the rows as they were described to it, so they must be so still.
fn check_unchanged(described: Option<&[OutputField]>, fields: &[OutputField]) -> Result<()> {
    let oids = |fields: &[OutputField]| -> Vec<u32> {
        fields.iter().map(|field| field.sql_type.oid()).collect()
    };
    match described {
        Some(described) if oids(described) == oids(fields) => Ok(()),
        _ => Err(ErrorReport::unsupported("cached plan must not change result type")),
    }
}

fn unknown_portal(name: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
