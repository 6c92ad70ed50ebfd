//! The kinds that files may hold.
//!
//! Entry points: [`Manifest`] (an object of any of them), [`Id`] (which), [`Kind`] (what a table must know of one).

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use k8s_openapi::api::core::v1::Namespace;
use kube::Resource;
use kube::core::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{
    AwsAccount, AwsAccountSpec, AwsAccountStatus, CidrSet, CidrSetSpec, CidrSetStatus, Notifier, NotifierSpec, NotifierStatus,
    ReferenceGrant, ReferenceGrantSpec, SecurityGroup, SecurityGroupSpec, SecurityGroupStatus,
};
use crate::ports::objects::Key;

/// Every object of a directory.
pub type Manifests = BTreeMap<Id, Manifest>;

/// A kind. In the order in which news of several is told: what others refer to first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter, strum::EnumString)]
pub enum KindName {
    /// `v1`: labels and annotations of a namespace.
    Namespace,
    /// `sgwarden.dev`: an account.
    AwsAccount,
    /// `gateway.networking.k8s.io`: a permission to refer.
    ReferenceGrant,
    /// `sgwarden.dev`: whom to tell.
    Notifier,
    /// `sgwarden.dev`: a list of ranges.
    CidrSet,
    /// `sgwarden.dev`: a group.
    SecurityGroup,
}

/// Which object. The namespace in the key is empty for kinds that are in none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Its kind.
    pub kind: KindName,
    /// Its namespace and name.
    pub key: Key,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key } = self;
        if key.namespace.is_empty() { write!(f, "{kind} {}", key.name) } else { write!(f, "{kind} {key}") }
    }
}

/// An object as its file has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Manifest {
    /// A namespace.
    Namespace(Namespace),
    /// An account.
    AwsAccount(Box<AwsAccount>),
    /// A permission to refer.
    ReferenceGrant(ReferenceGrant),
    /// Whom to tell.
    Notifier(Box<Notifier>),
    /// A list of ranges.
    CidrSet(CidrSet),
    /// A group.
    SecurityGroup(Box<SecurityGroup>),
}

/// A kind as a table keeps it.
pub(super) trait Kind:
    Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync + 'static
{
    /// What its objects declare.
    type Spec: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync;
    /// What is found out about them.
    type Status: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync;

    const NAME: KindName;
    /// Whether its objects are in namespaces.
    const NAMESPACED: bool = true;
    /// The folder of its state below the state directory; `None` where nothing has to outlive the process.
    const FOLDER: Option<&'static str>;
    /// Whether an object without its state must not be shown: what it vouches for would be forgotten. Other kinds find out
    /// anew.
    const STATE_IS_VITAL: bool = false;

    fn spec(&self) -> &Self::Spec;
    fn status(&self) -> Option<&Self::Status>;
    fn set_status(&mut self, status: Option<Self::Status>);
    /// The object, if the manifest is of this kind.
    fn of(manifest: &Manifest) -> Option<&Self>;
    fn manifest(self) -> Manifest;

    fn key(&self) -> Option<Key> {
        key(self.meta(), Self::NAMESPACED)
    }
}

fn key(meta: &ObjectMeta, namespaced: bool) -> Option<Key> {
    if namespaced { Key::of(meta) } else { Some(Key { namespace: String::new(), name: meta.name.clone()? }) }
}

impl Kind for SecurityGroup {
    type Spec = SecurityGroupSpec;
    type Status = SecurityGroupStatus;
    const NAME: KindName = KindName::SecurityGroup;
    // The state directory itself, as it was when there was no other kind.
    const FOLDER: Option<&'static str> = Some("");
    const STATE_IS_VITAL: bool = true;

    fn spec(&self) -> &Self::Spec {
        &self.spec
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn set_status(&mut self, status: Option<Self::Status>) {
        self.status = status;
    }

    fn of(manifest: &Manifest) -> Option<&Self> {
        if let Manifest::SecurityGroup(object) = manifest { Some(object) } else { None }
    }

    fn manifest(self) -> Manifest {
        Manifest::SecurityGroup(Box::new(self))
    }
}

impl Kind for CidrSet {
    type Spec = CidrSetSpec;
    type Status = CidrSetStatus;
    const NAME: KindName = KindName::CidrSet;
    const FOLDER: Option<&'static str> = Some("cidrsets");

    fn spec(&self) -> &Self::Spec {
        &self.spec
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn set_status(&mut self, status: Option<Self::Status>) {
        self.status = status;
    }

    fn of(manifest: &Manifest) -> Option<&Self> {
        if let Manifest::CidrSet(object) = manifest { Some(object) } else { None }
    }

    fn manifest(self) -> Manifest {
        Manifest::CidrSet(self)
    }
}

impl Kind for AwsAccount {
    type Spec = AwsAccountSpec;
    type Status = AwsAccountStatus;
    const NAME: KindName = KindName::AwsAccount;
    const NAMESPACED: bool = false;
    const FOLDER: Option<&'static str> = Some("awsaccounts");

    fn spec(&self) -> &Self::Spec {
        &self.spec
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn set_status(&mut self, status: Option<Self::Status>) {
        self.status = status;
    }

    fn of(manifest: &Manifest) -> Option<&Self> {
        if let Manifest::AwsAccount(object) = manifest { Some(object) } else { None }
    }

    fn manifest(self) -> Manifest {
        Manifest::AwsAccount(Box::new(self))
    }
}

impl Kind for Notifier {
    type Spec = NotifierSpec;
    type Status = NotifierStatus;
    const NAME: KindName = KindName::Notifier;
    const NAMESPACED: bool = false;
    const FOLDER: Option<&'static str> = Some("notifiers");

    fn spec(&self) -> &Self::Spec {
        &self.spec
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn set_status(&mut self, status: Option<Self::Status>) {
        self.status = status;
    }

    fn of(manifest: &Manifest) -> Option<&Self> {
        if let Manifest::Notifier(object) = manifest { Some(object) } else { None }
    }

    fn manifest(self) -> Manifest {
        Manifest::Notifier(Box::new(self))
    }
}

impl Kind for ReferenceGrant {
    type Spec = ReferenceGrantSpec;
    type Status = ();
    const NAME: KindName = KindName::ReferenceGrant;
    const FOLDER: Option<&'static str> = None;

    fn spec(&self) -> &Self::Spec {
        &self.spec
    }

    fn status(&self) -> Option<&()> {
        None
    }

    fn set_status(&mut self, _: Option<()>) {}

    fn of(manifest: &Manifest) -> Option<&Self> {
        if let Manifest::ReferenceGrant(object) = manifest { Some(object) } else { None }
    }

    fn manifest(self) -> Manifest {
        Manifest::ReferenceGrant(self)
    }
}

impl Kind for Namespace {
    type Spec = ();
    type Status = ();
    const NAME: KindName = KindName::Namespace;
    const NAMESPACED: bool = false;
    const FOLDER: Option<&'static str> = None;

    fn spec(&self) -> &() {
        &()
    }

    fn status(&self) -> Option<&()> {
        None
    }

    fn set_status(&mut self, _: Option<()>) {}

    fn of(manifest: &Manifest) -> Option<&Self> {
        if let Manifest::Namespace(object) = manifest { Some(object) } else { None }
    }

    fn manifest(self) -> Manifest {
        Manifest::Namespace(self)
    }
}
