//! The simple protocol: a string of statements, each run and answered before the next begins.

use kestrel_proto::Result;
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};
use tokio_util::sync::CancellationToken;

use super::backend::Session;
use super::conversation::Conversation;
use super::copy::copy_in;
use super::copy_out::{bytes_out, copy_out};
use super::encode::RowEncoder;
use super::failure::Failure;
use super::rows::{command_tag, row_description, send};
use crate::session::{Outcome, RowCursor};

impl<S: Session> Conversation<S> {
    /// Query. The first error ends the string; it is one implicit transaction.
    pub(super) async fn simple_query(&mut self, sql: String) -> Result<(), Failure> {
        // As in PostgreSQL, a query string takes the place of the unnamed statement and portal.
        self.session.prepared_statements().remove("");
        self.session.portals().remove("");
        self.begin_batch();
        self.client.begins(&sql);
        let statements = self.session.parse(&sql)?;
        let Some((last, before)) = statements.split_last() else {
            self.connection.put(&EmptyQueryResponse::new());
            return Ok(());
        };
        for statement in before {
            let answer = self.run(statement).await?;
            self.put_answer(answer);
        }
        let answer = self.run(last).await?;
        // Committed before the last tag: a client that reads it may count on it.
        self.end_batch().await?;
        self.put_answer(answer);
        Ok(())
    }

    /// Runs a statement; its command tag, or `None` for an empty one.
    async fn run(&mut self, statement: &S::Statement) -> Result<Option<String>, Failure> {
        let running = self.client.running(CancellationToken::new());
        // Asked first: what it executes may close its cursor.
        let format = self.session.simple_format(statement);
        match self.execute(statement, &[], &running).await? {
            Outcome::Rows { fields, rows, tag } => {
                let formats = vec![format; fields.len()];
                self.connection.put(&row_description(&fields, &formats));
                let encoder = RowEncoder::new(&fields, &formats, self.session.text_style());
                let mut rows = RowCursor::forward_only(rows);
                let sent = send(&mut self.connection, &running, &mut rows, &encoder, None).await?;
                Ok(Some(command_tag(&tag, sent.rows)))
            }
            Outcome::Done(tag) => Ok(Some(tag)),
            Outcome::CopyIn(copy) => {
                let client = (&mut self.connection, &mut self.session);
                copy_in(client, &running, copy).await.map(Some)
            }
            Outcome::CopyOut(copy) => {
                let style = self.session.text_style();
                copy_out(&mut self.connection, &running, copy, style).await.map(Some)
            }
            Outcome::Bytes(bytes) => {
                bytes_out(&mut self.connection, &running, bytes).await.map(Some)
            }
            Outcome::Empty => Ok(None),
        }
    }

    /// Notices first: they belong to the statement whose tag follows.
    pub(super) fn put_answer(&mut self, tag: Option<String>) {
        self.connection.put_notices();
        match tag {
            Some(tag) => self.connection.put(&CommandComplete::new(tag)),
            None => self.connection.put(&EmptyQueryResponse::new()),
        }
    }
}
