//! moto, set up as the contracts need it.

use crate::servers::moto::{Lease, lease};

/// moto with two VPCs, the caller's alone.
pub(crate) struct Moto {
    lease: Lease,
    pub(crate) vpc: String,
    pub(crate) vpc_with_ipv6: String,
}

impl Moto {
    /// Waits for its turn.
    pub(crate) async fn open() -> Self {
        let lease = lease().await;
        let mut moto = Self { lease, vpc: String::new(), vpc_with_ipv6: String::new() };
        let vpc = |body: String| body.split_once("<vpcId>").unwrap().1.split_once('<').unwrap().0.to_owned();
        moto.vpc = vpc(moto.call(&[("Action", "CreateVpc"), ("CidrBlock", "10.0.0.0/16")]).await.1);
        let ipv6 = [("Action", "CreateVpc"), ("CidrBlock", "10.1.0.0/16"), ("AmazonProvidedIpv6CidrBlock", "true")];
        moto.vpc_with_ipv6 = vpc(moto.call(&ipv6).await.1);
        moto
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        self.lease.url()
    }

    /// One EC2 call: status and body.
    pub(crate) async fn call(&self, parameters: &[(&str, &str)]) -> (u16, String) {
        self.lease.ec2(parameters).await
    }
}
