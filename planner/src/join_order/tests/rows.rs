//! Whatever order is tried gives the rows of the written one.

use super::{
    super::{Hypergraph, JoinSpace, JoinTree, Operator, RelationSet, SearchLimits, Step, search},
    Random,
    written::{Column, Condition, Kind, Written, written},
};

/// A row of all relations; NULL where it has no columns.
type Row = Vec<Option<i8>>;

struct Tables<'a> {
    conditions: &'a [Condition],
    steps: usize,
}

/// A set's rows, sorted.
#[derive(Clone, Debug, PartialEq)]
struct Rows(Vec<Row>);

impl JoinSpace for Tables<'_> {
    type Plan = Rows;

    fn join(&mut self, step: &Step, left: &[Rows], right: &[Rows]) -> Vec<Rows> {
        self.steps += 1;
        let joined = join(step, self.conditions, &left[0], &right[0]);
        vec![joined]
    }

    fn beats(&self, plan: &Rows, other: &Rows) -> bool {
        assert_eq!(plan, other, "two orders, two results");
        true
    }

    fn rows(&self, plan: &Rows) -> f64 {
        plan.0.len() as f64
    }

    fn is_at_hand(&mut self, _: &[Rows]) {
        self.steps = 0;
    }
}

fn join(step: &Step, conditions: &[Condition], left: &Rows, right: &Rows) -> Rows {
    let holds = |row: &Row| step.predicates.iter().all(|id| holds(&conditions[*id], row));
    let beside = |l: &Row, r: &Row| l.iter().zip(r).map(|(l, r)| l.or(*r)).collect::<Row>();
    let mut rows = Vec::new();
    let mut found = vec![false; right.0.len()];
    for l in &left.0 {
        let pairs = right.0.iter().map(|r| beside(l, r)).enumerate();
        let pairs: Vec<_> = pairs.filter(|(_, row)| holds(row)).collect();
        pairs.iter().for_each(|(at, _)| found[*at] = true);
        match step.operator {
            Operator::Semi if !pairs.is_empty() => rows.push(l.clone()),
            Operator::Anti | Operator::Left | Operator::Full if pairs.is_empty() => {
                rows.push(l.clone());
            }
            Operator::Semi | Operator::Anti => {}
            _ => rows.extend(pairs.into_iter().map(|(_, row)| row)),
        }
    }
    if step.operator == Operator::Full {
        let alone = right.0.iter().zip(found).filter(|(_, found)| !found);
        rows.extend(alone.map(|(row, _)| row.clone()));
    }
    rows.sort();
    Rows(rows)
}

fn holds(condition: &Condition, row: &Row) -> bool {
    let of = |column: &Column| row[column.relation * 2 + column.of_two];
    match condition {
        Condition::Equal(a, b) => of(a).is_some() && of(a) == of(b),
        Condition::EqualOrNull(a, b) => of(a).unwrap_or(0) == of(b).unwrap_or(0),
        Condition::SumEqual(a, b, c) => {
            of(a).zip(of(b)).map(|(a, b)| a + b).zip(of(c)).is_some_and(|(sum, c)| sum == c)
        }
        Condition::IsOne(a) => of(a) == Some(1),
    }
}

/// 0 … 4 rows of small numbers and NULLs per relation.
fn tables(relations: usize, random: &mut Random) -> Vec<Vec<Rows>> {
    let mut table = |relation: usize| {
        let count = [0, 1, 1, 2, 3, 4][random.below(6)];
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..count {
            let mut row = vec![None; relations * 2];
            for value in &mut row[relation * 2..relation * 2 + 2] {
                *value = [None, Some(0), Some(1), Some(1), Some(2)][random.below(5)];
            }
            rows.push(row);
        }
        rows.sort();
        vec![Rows(rows)]
    };
    (0..relations).map(&mut table).collect()
}

fn as_written(tree: &JoinTree, conditions: &[Condition], tables: &[Vec<Rows>]) -> Rows {
    match tree {
        JoinTree::Relation(relation) => tables[*relation][0].clone(),
        JoinTree::Join(node) => {
            let left = as_written(&node.left, conditions, tables);
            let right = as_written(&node.right, conditions, tables);
            let step = Step {
                operator: node.operator,
                left: RelationSet::EMPTY,
                right: RelationSet::EMPTY,
                predicates: node.predicates.iter().flat_map(|p| p.ids.clone()).collect(),
            };
            join(&step, conditions, &left, &right)
        }
    }
}

/// How many joins were tried; `None`: no plan was found.
fn check(seed: u64, relations: usize, kind: Kind, limits: SearchLimits) -> Option<usize> {
    let mut random = Random(seed);
    let Written { tree, conditions } = written(relations, kind, &mut random);
    let graph = Hypergraph::new(&tree);
    let mut steps = 0;
    for _ in 0..4 {
        let tables = tables(relations, &mut random);
        let mut space = Tables { conditions: &conditions, steps: 0 };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            search(&graph, &mut space, tables.clone(), limits)
        }));
        let expected = as_written(&tree, &conditions, &tables);
        let about = || format!("seed {seed}, {relations} relations: {tree:?} {conditions:?}");
        match found {
            Ok(found) if found.is_empty() => return None,
            Ok(found) => assert_eq!(found, [expected], "{}", about()),
            Err(_) => panic!("{}", about()),
        }
        steps = space.steps;
    }
    Some(steps)
}

#[test]
fn all_orders_have_the_same_rows() {
    let limits = SearchLimits { relations: 64, pairs: usize::MAX };
    for (relations, seeds) in [(2, 2000), (3, 2000), (4, 2000), (5, 1500), (6, 1000), (7, 1000)] {
        let mut steps = 0;
        for seed in 0..seeds as u64 {
            steps += check(seed, relations, Kind::All, limits).unwrap();
            check(seed, relations, Kind::Inner, limits).unwrap();
        }
        // Conflicts leave something to choose.
        let written = seeds * (relations - 1);
        assert!(relations == 2 || steps > written * 5 / 4, "{relations}: {steps}");
    }
}

#[test]
fn the_greedy_order_has_the_same_rows() {
    let limits = SearchLimits { relations: 0, pairs: 0 };
    for relations in 2..=9 {
        let seeds = if relations < 7 { 1000 } else { 400 };
        let mut missing = 0;
        for seed in 0..seeds {
            missing += usize::from(check(seed, relations, Kind::All, limits).is_none());
            check(seed, relations, Kind::Inner, limits).unwrap();
        }
        // A join too early can leave a later one no place.
        assert!(missing <= seeds as usize * 3 / 20, "{relations}: {missing}");
    }
}
