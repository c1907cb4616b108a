//! COPY … FROM files of the server: a query whose rows the datanodes read.

use std::sync::Arc;

use kestrel_planner::{
    bind::file_query,
    copy::{CopyBatch, CopyLayout, CopyParser, FileKind, FileScan, Places, share_files},
    parse::{CopyFile, CopyFormat, CopyStatement},
    plan::InsertPlan,
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    ClientSession, Outcome, copy_write::CopyWriter, file_list::list_files, partition::Written,
    unique::NewValues, write::distributed,
};
use crate::query::{QueryEnvironment, RowSource, RunningQuery, TableIngestor};

impl ClientSession {
    /// Writes the rows of files. `text`: the statement's.
    pub(super) async fn copy_from_files(
        &mut self,
        (file, copy): (&CopyFile, &CopyStatement),
        layout: CopyLayout,
        mut writer: CopyWriter,
        environment: &QueryEnvironment,
        text: &str,
    ) -> Result<Outcome> {
        let (table, view) = (Arc::clone(&writer.table), Arc::clone(&writer.view));
        let (path, directories) = (file.path.clone(), self.settings.copy_directories());
        let files = tokio::task::spawn_blocking(move || list_files(&path, &directories)).await;
        let files = files.map_err(|error| {
            ErrorReport::internal(format!("a task that lists files was lost: {error}"))
        })??;
        writer.load.will_read(files.iter().map(|(_, length)| length).sum());
        let is_last = writer.takes_all();
        let query = file_query(FileScan {
            parser: CopyParser { layout, shape: writer.shape.clone(), is_last },
            kind: match copy.options.format {
                CopyFormat::Parquet => FileKind::Parquet,
                CopyFormat::Text | CopyFormat::Csv | CopyFormat::Binary => FileKind::Records,
            },
            parts: share_files(&files, &view.datanode_ids()),
            names_files: files.len() > 1,
            rejects: copy.rejects,
        })?;
        let context = self.plan_context(&view)?;
        let planner = &self.engine.planner;
        let plan = match is_last {
            true => planner.plan_insert(&query, &table, &context).await?,
            false => InsertPlan::Ingest(planner.plan(&query, &context).await?),
        };
        let summary;
        let (mut noted, written) = match plan {
            InsertPlan::Distributed(plan) => {
                let (running, noted) = self.start(&plan, environment, text).await?;
                summary = running.summary();
                (noted, distributed(running, &table, &view).await)
            }
            InsertPlan::Ingest(plan) => {
                let (running, noted) = self.start(&plan, environment, text).await?;
                summary = running.summary();
                let cluster = &self.engine.cluster;
                let ingestor =
                    TableIngestor::start(cluster, &view, &table, environment, RowSource::Outside);
                (noted, writer.write_all(running, ingestor).await)
            }
        };
        let written = written.map_err(|error| error.in_schema(&table.schema_name));
        let (written, rows) = noted.part(written)?;
        noted.part(self.add_written(written, NewValues::All).await)?;
        noted.finish_written(rows);
        for (_, _, report) in &summary.lock().fragments {
            writer.note_reported(report);
        }
        writer.tell_of_rejected();
        Ok(Outcome::Done(format!("COPY {rows}")))
    }
}

impl CopyWriter {
    /// The coordinator has the rows, of which it is not known any more where they came from.
    async fn write_all(
        &mut self,
        mut rows: RunningQuery,
        ingestor: Result<TableIngestor>,
    ) -> Result<(Written, u64)> {
        self.ingestor = Some(ingestor?);
        while let Some(batch) = rows.next().await {
            let places = Places::unknown(&self.table.name);
            self.write(CopyBatch { rows: batch?, places }).await?;
        }
        self.finish().await
    }
}
