//! What a file says of itself around the graph: versions, operator sets, metadata.

use super::{Model, ScopeId, ValueId, model::ScopeShell, op::normal_domain, steps::count};
use crate::proto::{OperatorSetIdProto, StringStringEntryProto};

impl Model {
    /// The version of the default operator set that a scope's operators follow.
    pub fn opset(&self, scope: ScopeId) -> i64 {
        self.scope(self.root(scope)).opset
    }

    pub(crate) fn opset_imports(&self, scope: ScopeId) -> &[OperatorSetIdProto] {
        match &self.scope(self.root(scope)).shell {
            ScopeShell::Function(function) => &function.opset_import,
            ScopeShell::Graph(_) => &self.shell.opset_import,
        }
    }

    /// The IR version of the file's format.
    pub fn ir_version(&self) -> i64 {
        self.shell.ir_version()
    }

    /// Sets the version of the default operator set that a scope's operators follow. If it was
    /// imported under both of its names it is imported once from now on, and so named.
    ///
    /// # Panics
    /// The scope is a body: bodies follow the graph or function that they are in.
    pub(crate) fn set_opset(&mut self, scope: ScopeId, version: i64) {
        let imports = match &mut self.scopes[scope.0].shell {
            ScopeShell::Function(function) => &mut function.opset_import,
            ScopeShell::Graph(_) => {
                assert!(scope == Self::MAIN, "a body has no operator set imports of its own");
                &mut self.shell.opset_import
            }
        };
        let is_default = |import: &OperatorSetIdProto| normal_domain(import.domain()).is_empty();
        let twice = imports.iter().filter(|import| is_default(import)).count() > 1;
        match imports.iter_mut().find(|import| is_default(import)) {
            Some(import) => import.version = Some(version),
            None => imports.push(OperatorSetIdProto { domain: Some(String::new()), version: Some(version) }),
        }
        if !twice {
            self.scopes[scope.0].opset = version;
            return;
        }
        let mut seen = false;
        imports.retain(|import| !is_default(import) || !std::mem::replace(&mut seen, true));
        if let Some(import) = imports.iter_mut().find(|import| is_default(import)) {
            import.domain = Some(String::new());
        }
        self.scopes[scope.0].opset = version;
        for op in self.ops_within(scope) {
            let shell = &mut self.op_mut(op).shell;
            if shell.domain.is_some() && normal_domain(shell.domain()).is_empty() {
                shell.domain = None;
            }
        }
    }

    /// Imports another operator set than the default one for a scope's operators, in version 1 unless it is already.
    pub(super) fn import_domain(&mut self, scope: ScopeId, domain: &str) {
        let root = self.root(scope);
        let mut importers = vec![&mut self.shell.opset_import];
        if let ScopeShell::Function(function) = &mut self.scopes[root.0].shell {
            importers.push(&mut function.opset_import);
        }
        for imports in importers {
            if !imports.iter().any(|import| import.domain() == domain) {
                imports.push(OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(1) });
            }
        }
    }

    /// Imports the default operator set once where it is imported under both of its names, in the
    /// newest of the versions: runtimes differ in which of them they follow.
    pub fn settle_default_opset(&mut self) {
        let roots: Vec<ScopeId> = self.scopes().filter(|&scope| self.scope(scope).owner.is_none()).collect();
        for scope in roots {
            let imports = self.opset_imports(scope).iter();
            if imports.filter(|import| normal_domain(import.domain()).is_empty()).count() > 1 {
                self.set_opset(scope, self.opset(scope));
            }
        }
    }

    /// Raises the IR version of the file's format, never lowers it.
    ///
    /// Before IR version 4 every initializer had to be a graph input too. From then on that says that
    /// callers may override it, which keeps runtimes from folding it: so it is an input no longer.
    pub fn raise_ir_version(&mut self, version: i64) {
        let old = self.shell.ir_version();
        if old >= version {
            return;
        }
        self.shell.ir_version = Some(version);
        if old < 4 && version >= 4 {
            self.remove_inputs(self.scope(Self::MAIN).initializers().to_vec());
        }
    }

    /// A property of the model's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.shell.metadata_props.iter().find(|entry| entry.key() == key).map(|entry| entry.value())
    }

    /// Sets a property of the model's metadata.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        let entries = &mut self.shell.metadata_props;
        let entry = StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) };
        match entries.iter_mut().find(|entry| entry.key() == key) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }

    /// Whether the model's training information sets or replaces an initializer.
    pub fn is_trained(&self, value: ValueId) -> bool {
        self.trained_names.contains(self.value(value).name())
    }
}

/// Exporters sometimes list the default operator set under both of its names; the newest counts.
pub(crate) fn default_opset(imports: &[OperatorSetIdProto]) -> i64 {
    imports
        .iter()
        .inspect(|_| count(1))
        .filter(|import| normal_domain(import.domain()).is_empty())
        .map(|import| import.version())
        .max()
        .unwrap_or(1)
}
