//! Arithmetic on 64-bit integers: its steps, and the proof that no step leaves 64 bits.

/// What values can be, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Range {
    pub(crate) least: i64,
    pub(crate) greatest: i64,
}

impl Range {
    /// One value.
    pub(crate) fn of(value: i64) -> Self {
        Self { least: value, greatest: value }
    }

    /// `None`: an end does not fit into 64 bits, or there is no value between the ends.
    pub(crate) fn between(least: i128, greatest: i128) -> Option<Self> {
        let range = Self { least: least.try_into().ok()?, greatest: greatest.try_into().ok()? };
        (range.least <= range.greatest).then_some(range)
    }

    /// Values of both.
    pub(crate) fn hull(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), greatest: self.greatest.max(other.greatest) }
    }

    /// Values in both; `self` when there are none: then there are no rows either.
    pub(crate) fn within(self, other: Self) -> Self {
        let least = self.least.max(other.least);
        let greatest = self.greatest.min(other.greatest);
        if least <= greatest { Self { least, greatest } } else { self }
    }

    /// How many values there are.
    pub(crate) fn values(self) -> u128 {
        u128::from(self.greatest.abs_diff(self.least)) + 1
    }

    /// The largest distance from 0.
    pub(crate) fn magnitude(self) -> u64 {
        self.least.unsigned_abs().max(self.greatest.unsigned_abs())
    }
}

/// What a step does. All wrap around: under NULL there is garbage, which must do no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
}

impl Operation {
    /// As it is written in SQL.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
        }
    }

    /// The values of `left op right`; `None`: 64 bits do not hold them all.
    fn range(self, left: Range, right: Range) -> Option<Range> {
        let (a, b) = (i128::from(left.least), i128::from(left.greatest));
        let (c, d) = (i128::from(right.least), i128::from(right.greatest));
        match self {
            Self::Add => Range::between(a + c, b + d),
            Self::Subtract => Range::between(a - d, b - c),
            Self::Multiply => {
                // Of two values of 64 bits: 128 bits hold every product.
                let corners = [a * c, a * d, b * c, b * d];
                let least = corners.into_iter().fold(i128::MAX, i128::min);
                let greatest = corners.into_iter().fold(i128::MIN, i128::max);
                Range::between(least, greatest)
            }
        }
    }
}

/// Where a step finds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operand {
    /// By its position among the program's inputs.
    Input(usize),
    /// An earlier step's result.
    Step(usize),
    Constant(i64),
}

/// `left operation right`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    pub(crate) operation: Operation,
    pub(crate) left: Operand,
    pub(crate) right: Operand,
}

/// Steps in an order in which they can be done; no two are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Program {
    /// The columns that are the inputs.
    pub(crate) inputs: Vec<usize>,
    pub(crate) steps: Vec<Step>,
}

/// An operand, and what it can be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) operand: Operand,
    pub(crate) range: Range,
}

impl Program {
    /// The value of a column.
    pub(crate) fn input(&mut self, column: usize, range: Range) -> Value {
        let position = self.inputs.iter().position(|input| *input == column);
        let position = position.unwrap_or_else(|| {
            self.inputs.push(column);
            self.inputs.len() - 1
        });
        Value { operand: Operand::Input(position), range }
    }

    /// The same value in all rows.
    pub(crate) fn constant(value: i64) -> Value {
        Value { operand: Operand::Constant(value), range: Range::of(value) }
    }

    /// `left operation right`; `None`: not in 64 bits.
    pub(crate) fn apply(
        &mut self,
        operation: Operation,
        left: Value,
        right: Value,
    ) -> Option<Value> {
        let range = operation.range(left.range, right.range)?;
        let (left, right) = (left.operand, right.operand);
        if let (Operand::Constant(_), Operand::Constant(_)) = (left, right) {
            return Some(Value { operand: Operand::Constant(range.least), range });
        }
        if operation == Operation::Multiply && right == Operand::Constant(1) {
            return Some(Value { operand: left, range });
        }
        let step = Step { operation, left, right };
        let position = self.steps.iter().position(|known| *known == step);
        let position = position.unwrap_or_else(|| {
            self.steps.push(step);
            self.steps.len() - 1
        });
        Some(Value { operand: Operand::Step(position), range })
    }

    /// The inputs, by their positions, that a value is computed from.
    pub(crate) fn inputs_of(&self, operand: Operand) -> Vec<usize> {
        let mut inputs = Vec::new();
        let mut open = vec![operand];
        while let Some(operand) = open.pop() {
            match operand {
                Operand::Input(input) => inputs.push(input),
                Operand::Step(step) => {
                    open.extend(self.steps.get(step).iter().flat_map(|s| [s.left, s.right]));
                }
                Operand::Constant(_) => {}
            }
        }
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    }

    /// A value as SQL would write it over unscaled integers, with the inputs' names.
    pub(crate) fn text(&self, operand: Operand, names: &[String]) -> String {
        match operand {
            Operand::Input(input) => names.get(input).cloned().unwrap_or_default(),
            Operand::Constant(value) => value.to_string(),
            Operand::Step(step) => self.steps.get(step).map_or_else(String::new, |step| {
                let [left, right] = [step.left, step.right].map(|side| self.text(side, names));
                format!("({left} {} {right})", step.operation.symbol())
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_corners() {
        let range = |least, greatest| Range { least, greatest };
        let (a, b) = (range(-3, 5), range(-7, 2));
        for (operation, expected) in [
            (Operation::Add, range(-10, 7)),
            (Operation::Subtract, range(-5, 12)),
            (Operation::Multiply, range(-35, 21)),
        ] {
            assert_eq!(operation.range(a, b), Some(expected), "{operation:?}");
            // No pair of values is outside, and the ends are reached.
            let all = (-3..=5).flat_map(|x| (-7..=2).map(move |y| (x, y)));
            let values = all.map(|(x, y)| match operation {
                Operation::Add => x + y,
                Operation::Subtract => x - y,
                Operation::Multiply => x * y,
            });
            let values: Vec<i64> = values.collect();
            assert_eq!(values.iter().min(), Some(&expected.least), "{operation:?}");
            assert_eq!(values.iter().max(), Some(&expected.greatest), "{operation:?}");
        }
    }

    #[test]
    fn what_needs_more_than_64_bits_is_refused() {
        let whole = Range { least: i64::MIN, greatest: i64::MAX };
        let (one, two) = (Range::of(1), Range::of(2));
        assert_eq!(Operation::Add.range(whole, one), None);
        assert_eq!(Operation::Subtract.range(Range::of(0), whole), None);
        assert_eq!(Operation::Multiply.range(whole, two), None);
        assert_eq!(Operation::Multiply.range(whole, whole), None);
        assert_eq!(Operation::Multiply.range(whole, one), Some(whole));
        let half = Range { least: i64::MIN / 2, greatest: i64::MAX / 2 };
        assert!(Operation::Multiply.range(half, two).is_some());
    }

    #[test]
    fn equal_steps_are_one_step() {
        let mut program = Program::default();
        let range = Range { least: 0, greatest: 100 };
        for _ in 0..2 {
            let (a, b) = (program.input(7, range), program.input(3, range));
            let rest = program.apply(Operation::Subtract, Program::constant(100), b).unwrap();
            let product = program.apply(Operation::Multiply, a, rest).unwrap();
            assert_eq!(product.range, Range { least: 0, greatest: 10_000 });
            let names = ["a".to_string(), "b".to_string()];
            assert_eq!(program.text(product.operand, &names), "(a * (100 - b))");
            assert_eq!(program.inputs_of(product.operand), [0, 1]);
        }
        assert_eq!(program.inputs, [7, 3]);
        assert_eq!(program.steps.len(), 2);
        let six = program.apply(Operation::Multiply, Program::constant(2), Program::constant(3));
        assert_eq!(six.unwrap().operand, Operand::Constant(6));
    }
}
