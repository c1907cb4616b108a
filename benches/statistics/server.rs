//! One of the servers that are compared.

use std::time::Instant;

use kestrel::{client::Client, tpch::Layout};

use crate::Result;

pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) client: Client,
    /// How tables are created there.
    pub(crate) layout: Layout,
    pub(crate) analyze_seconds: Vec<f64>,
}

impl Server {
    pub(crate) async fn connect(name: &'static str, url: &str, layout: Layout) -> Result<Self> {
        let client = Client::connect(url).await?;
        Ok(Self { name, client, layout, analyze_seconds: Vec::new() })
    }

    /// ANALYZE of all tables.
    pub(crate) async fn analyze(&mut self, rounds: usize) -> Result<()> {
        for _ in 0..rounds {
            let began = Instant::now();
            self.client.execute("ANALYZE").await?;
            self.analyze_seconds.push(began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// The numbers of a row; 0 for NULL.
    pub(crate) async fn numbers(&mut self, sql: &str) -> Result<Vec<f64>> {
        let answer = self.client.query(sql).await.map_err(|e| format!("{sql}: {e}"))?;
        let row = answer.rows.into_iter().next().ok_or_else(|| format!("no rows: {sql}"))?;
        let number = |value: Option<String>| value.as_deref().unwrap_or("0").parse::<f64>();
        let numbers = row.into_iter().map(number).collect::<std::result::Result<Vec<_>, _>>();
        Ok(numbers?)
    }

    pub(crate) async fn number(&mut self, sql: &str) -> Result<f64> {
        let numbers = self.numbers(sql).await?;
        Ok(numbers.first().copied().ok_or_else(|| format!("no columns: {sql}"))?)
    }

    /// How many rows EXPLAIN thinks that a query gives.
    pub(crate) async fn estimate(&mut self, sql: &str) -> Result<f64> {
        let explain = format!("EXPLAIN (FORMAT JSON) {sql}");
        let answer = self.client.query(&explain).await.map_err(|e| format!("{explain}: {e}"))?;
        let lines: Vec<String> = answer.rows.into_iter().flatten().flatten().collect();
        let plan: serde_json::Value = serde_json::from_str(&lines.join("\n"))?;
        let rows = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_f64);
        Ok(rows.ok_or_else(|| format!("no rows in the plan of {sql}"))?)
    }
}
