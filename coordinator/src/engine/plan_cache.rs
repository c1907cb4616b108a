//! Plans of queries that come again, of all sessions. Who finds one still has to ask whether it holds
//! for its snapshot ([`GenericPlan::over`]) and whether its role may read what it reads.

use std::sync::Arc;

use hashlink::LruCache;
use kestrel_planner::{catalog::SqlType, plan::GenericPlan};
use parking_lot::Mutex;

/// So many plans are kept: those that were asked for last.
const PLANS_MAX: usize = 256;
/// Plans of longer statements are not: they are large, and seldom come again.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// What a plan depends on besides the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanKey {
    /// The statement's text.
    pub text: String,
    /// Characters before it in the client's text.
    pub offset: usize,
    /// The types of its parameters.
    pub types: Vec<SqlType>,
    /// Where names are looked up; `pg_temp` for a temporary schema that is not there.
    pub search_path: Vec<String>,
    /// The settings of the session's formats that are not the defaults, by name.
    pub formats: Vec<(String, String)>,
}

/// Plans that are kept. Cloning shares them.
#[derive(Clone)]
pub struct PlanCache(Arc<Mutex<Plans>>);

struct Plans {
    plans: LruCache<PlanKey, Arc<GenericPlan>>,
    hits: u64,
    misses: u64,
}

/// What a cache has been asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanCacheCounts {
    /// Plans that are kept.
    pub plans: u64,
    /// Queries that ran by one.
    pub hits: u64,
    /// Those that were bound and optimized.
    pub misses: u64,
}

impl Default for PlanCache {
    fn default() -> Self {
        let plans = LruCache::new(PLANS_MAX);
        Self(Arc::new(Mutex::new(Plans { plans, hits: 0, misses: 0 })))
    }
}

impl PlanCache {
    /// What was kept.
    pub fn get(&self, key: &PlanKey) -> Option<Arc<GenericPlan>> {
        self.0.lock().plans.get(key).cloned()
    }

    /// Keeps a plan, in the place of the one that was there.
    pub fn keep(&self, key: PlanKey, plan: Arc<GenericPlan>) {
        if key.text.len() <= TEXT_BYTES_MAX {
            self.0.lock().plans.insert(key, plan);
        }
    }

    /// A query was looked up.
    pub fn count(&self, is_hit: bool) {
        let mut plans = self.0.lock();
        match is_hit {
            true => plans.hits += 1,
            false => plans.misses += 1,
        }
    }

    /// Since the start.
    pub fn counts(&self) -> PlanCacheCounts {
        let plans = self.0.lock();
        let kept = plans.plans.len() as u64;
        PlanCacheCounts { plans: kept, hits: plans.hits, misses: plans.misses }
    }
}
