//! The tree in which the parts of a batch are added.
//!
//! Level by level, node 2i and node 2i + 1 are added; an odd one out rises. With 6 parts:
//! ((0 + 1) + (2 + 3)) + (4 + 5).

use std::ops::Range;

/// The `r`-th of `k` consecutive shares of `0..n`, whose sizes differ by at most one.
pub fn share(n: usize, k: usize, r: usize) -> Range<usize> {
    r * n / k..(r + 1) * n / k
}

/// A node of the tree: the sum of the 2^level parts from `first` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    /// The first part.
    pub first: usize,
    /// The binary logarithm of the number of parts.
    pub level: u32,
}

impl Node {
    /// A part by itself.
    pub fn part(number: usize) -> Node {
        Node {
            first: number,
            level: 0,
        }
    }

    /// Whether `right` is the sibling to the right of this node.
    fn meets(self, right: Node) -> bool {
        self.level == right.level
            && (self.first >> self.level).is_multiple_of(2)
            && right.first == self.first + (1 << self.level)
    }
}

/// Puts the sum of a node on a stack, and adds siblings as soon as both are there, left + right.
///
/// Nodes come from left to right. The stack holds at most log₂ P + 1 sums.
pub fn push<T>(
    stack: &mut Vec<(Node, T)>,
    mut node: Node,
    mut sum: T,
    add: &mut impl FnMut(T, T) -> T,
) {
    while let Some((left, total)) = stack.pop_if(|(left, _)| left.meets(node)) {
        node = Node {
            level: left.level + 1,
            ..left
        };
        sum = add(total, sum);
    }
    stack.push((node, sum));
}

/// The sum over a stack, which is then empty: adds what no sibling came for, the last first. `None`
/// if it was empty.
pub fn finish<T>(stack: &mut Vec<(Node, T)>, add: &mut impl FnMut(T, T) -> T) -> Option<T> {
    let (_, mut sum) = stack.pop()?;
    while let Some((_, left)) = stack.pop() {
        sum = add(left, sum);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum as text, with its parentheses.
    fn tree(parts: usize) -> String {
        let mut add = |left: String, right: String| format!("({left}{right})");
        let mut stack = Vec::new();
        for part in 0..parts {
            push(&mut stack, Node::part(part), part.to_string(), &mut add);
            assert!(stack.len() <= part.max(1).ilog2() as usize + 1);
        }
        finish(&mut stack, &mut add).unwrap()
    }

    /// The same written as a recursion over levels.
    fn levels(nodes: Vec<String>) -> String {
        match &nodes[..] {
            [one] => one.clone(),
            _ => levels(
                nodes
                    .chunks(2)
                    .map(|pair| match pair {
                        [left, right] => format!("({left}{right})"),
                        rest => rest[0].clone(),
                    })
                    .collect(),
            ),
        }
    }

    #[test]
    fn the_tree_is_balanced_and_in_order() {
        assert_eq!(tree(3), "((01)2)");
        assert_eq!(tree(6), "(((01)(23))(45))");
        assert_eq!(tree(7), "(((01)(23))((45)6))");
        for parts in 1..40 {
            let parts_alone = (0..parts).map(|part| part.to_string()).collect();
            assert_eq!(tree(parts), levels(parts_alone));
        }
    }

    #[test]
    fn shares_are_consecutive_and_even() {
        for n in 0..30 {
            for k in 1..12 {
                let mut end = 0;
                for r in 0..k {
                    let part = share(n, k, r);
                    assert!(part.start == end && (n / k..=n.div_ceil(k)).contains(&part.len()));
                    end = part.end;
                }
                assert_eq!(end, n);
            }
        }
    }
}
