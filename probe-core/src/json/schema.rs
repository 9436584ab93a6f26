//! Which values are wanted: a trie of paths.

/// How much of a wanted value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Strings up to 256 bytes, numbers, literals; of containers only that
    /// they are there.
    Value,
    /// Like [`Take::Value`], but strings up to 1024 bytes.
    Long,
    /// Of strings only whether they are empty.
    Probe,
    /// Strings up to the scanner's content cap; with a cap of 0 like [`Take::Probe`].
    Content,
    /// The JSON text of any value, up to the content cap; with a cap of 0 like [`Take::Probe`].
    /// No path below such a value can be wanted.
    Raw,
}

/// A set of wanted paths, each with the field `F` that its values are reported as.
#[derive(Clone, Debug)]
pub struct Schema<F> {
    nodes: Vec<Node<F>>,
}

/// One place in the trie.
#[derive(Clone, Debug)]
pub(super) struct Node<F> {
    keys: Vec<(&'static [u8], NodeId)>,
    element: NodeId,
    want: Option<(F, Take)>,
}

/// The number of a node; [`NOWHERE`] for a place that no path passes.
pub(super) type NodeId = u16;

/// A place that no wanted path passes.
pub(super) const NOWHERE: NodeId = NodeId::MAX;

/// The place of a root value.
pub(super) const ROOT: NodeId = 0;

impl<F: Copy> Schema<F> {
    /// A schema of `paths`. The steps of a path are separated by one space (so that keys with
    /// dots and slashes can be named); `[]` stands for any element of an array.
    ///
    /// Where a path is named twice, the later one counts.
    #[must_use]
    pub fn new(paths: &[(&'static str, F, Take)]) -> Self {
        let mut schema = Self {
            nodes: vec![Node::new()],
        };
        schema.add(ROOT, paths);
        schema
    }

    /// A schema of `paths` in the root value, or in each element of a root that is an array. An
    /// empty path is the value itself.
    #[must_use]
    pub fn batched(paths: &[(&'static str, F, Take)]) -> Self {
        let mut schema = Self::new(paths);
        let element = schema.step(ROOT, "[]");
        schema.add(element, paths);
        schema
    }

    fn add(&mut self, root: NodeId, paths: &[(&'static str, F, Take)]) {
        for (path, field, take) in paths {
            let node = path
                .split(' ')
                .filter(|step| !step.is_empty())
                .fold(root, |node, step| self.step(node, step));
            self.nodes[usize::from(node)].want = Some((*field, *take));
        }
    }

    /// The node that `step` leads to, made if it is not there.
    fn step(&mut self, from: NodeId, step: &'static str) -> NodeId {
        let known = if step == "[]" {
            self.element(from)
        } else {
            self.child(from, step.as_bytes())
        };
        if known != NOWHERE {
            return known;
        }
        let new = NodeId::try_from(self.nodes.len()).expect("schemas are tables of this crate");
        self.nodes.push(Node::new());
        let node = &mut self.nodes[usize::from(from)];
        if step == "[]" {
            node.element = new;
        } else {
            node.keys.push((step.as_bytes(), new));
        }
        new
    }
}

impl<F> Schema<F> {
    /// Where the key leads from an object at `node`.
    pub(super) fn child(&self, node: NodeId, key: &[u8]) -> NodeId {
        self.nodes[usize::from(node)]
            .keys
            .iter()
            .find(|(name, _)| name.first() == key.first() && *name == key)
            .map_or(NOWHERE, |(_, child)| *child)
    }

    /// Where the elements of an array at `node` stand.
    pub(super) fn element(&self, node: NodeId) -> NodeId {
        self.nodes[usize::from(node)].element
    }

    /// Whether an object at `node` has wanted keys.
    pub(super) fn has_keys(&self, node: NodeId) -> bool {
        node != NOWHERE && !self.nodes[usize::from(node)].keys.is_empty()
    }

    /// Whether an array at `node` has wanted elements.
    pub(super) fn has_elements(&self, node: NodeId) -> bool {
        node != NOWHERE && self.nodes[usize::from(node)].element != NOWHERE
    }
}

impl<F: Copy> Schema<F> {
    /// What is wanted of a value at `node`.
    pub(super) fn want(&self, node: NodeId) -> Option<(F, Take)> {
        if node == NOWHERE {
            return None;
        }
        self.nodes[usize::from(node)].want
    }
}

impl<F> Node<F> {
    const fn new() -> Self {
        Self {
            keys: Vec::new(),
            element: NOWHERE,
            want: None,
        }
    }
}
