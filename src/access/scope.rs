//! What a key may be good for, and what each call needs.

/// What a key lets its holder do. None includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Ask what requests are about and who must act.
    Classify,
    /// Record corrections, and read the records.
    Correct,
    /// Operate the service.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Classify, Self::Correct, Self::Admin];

    /// Its name in the file of keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Correct => "correct",
            Self::Admin => "admin",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// What a call needs to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It is open to all.
    Nothing,
    /// Any key that has not expired.
    AnyKey,
    /// A key with this scope.
    Scope(Scope),
}

impl Need {
    /// What a call of the method at `path` needs, such as `/jiesu.v1.AdminService/Reload`.
    ///
    /// What is not known here is for operators: a method that somebody adds and forgets is closed, not open.
    pub(super) fn of(path: &str) -> Self {
        let method = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        match method {
            // Those who look after the service's health have no keys: Kubernetes cannot send one.
            Some(("grpc.health.v1.Health", _)) => Self::Nothing,
            Some(("grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection", _)) => {
                Self::AnyKey
            }
            Some(("jiesu.v1.DispatchService", _)) => Self::Scope(Scope::Classify),
            Some(("jiesu.v1.RecordService", "RecordCorrection" | "ListCorrections" | "ListDecisions")) => {
                Self::Scope(Scope::Correct)
            }
            _ => Self::Scope(Scope::Admin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_service_has_its_need() {
        for (path, need) in [
            ("/grpc.health.v1.Health/Check", Need::Nothing),
            ("/grpc.health.v1.Health/Watch", Need::Nothing),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Need::AnyKey),
            ("/jiesu.v1.DispatchService/ClassifyText", Need::Scope(Scope::Classify)),
            ("/jiesu.v1.DispatchService/StreamClassifyTexts", Need::Scope(Scope::Classify)),
            ("/jiesu.v1.RecordService/RecordCorrection", Need::Scope(Scope::Correct)),
            ("/jiesu.v1.RecordService/ListCorrections", Need::Scope(Scope::Correct)),
            ("/jiesu.v1.RecordService/ListDecisions", Need::Scope(Scope::Correct)),
            ("/jiesu.v1.AdminService/Reload", Need::Scope(Scope::Admin)),
        ] {
            assert_eq!(Need::of(path), need, "{path}");
        }
    }

    #[test]
    fn what_is_not_known_is_for_operators() {
        for path in [
            "",
            "/",
            "grpc.health.v1.Health/Check",
            "//grpc.health.v1.Health/Check",
            "/grpc.health.v1.health/Check",
            "/grpc.health.v1.HealthService/Check",
            "/grpc.health.v1.Health",
            "/jiesu.v1.RecordService/EraseRecords",
            "/jiesu.v1.RecordService/ListDecisions/",
            "/jiesu.v2.DispatchService/ClassifyText",
        ] {
            assert_eq!(Need::of(path), Need::Scope(Scope::Admin), "{path}");
        }
    }

    proptest! {
        #[test]
        fn only_the_health_service_is_open(path in "/?[a-z.%/]{0,12}(grpc\\.health\\.v1\\.Health|jiesu\\.v1\\.AdminService)?[A-Za-z./%]{0,12}") {
            if Need::of(&path) == Need::Nothing {
                prop_assert!(path.starts_with("/grpc.health.v1.Health/"), "{}", path);
            }
        }
    }
}
