//! What a container has of networks: as yet a namespace, or the host's.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::recipe::Recipe;

/// Docker's `NetworkSettings`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSettings {
    #[serde(rename = "SandboxID")]
    pub sandbox_id: String,
    pub sandbox_key: String,
    pub ports: BTreeMap<String, Value>,
    #[serde(flatten)]
    pub endpoint: Address,
    pub networks: BTreeMap<String, Endpoint>,
}

/// Addresses; of the default network for scripts that know of no other.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "members of Docker's API")]
pub struct Address {
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    pub gateway: String,
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u8,
    pub mac_address: String,
}

/// A network that it is in.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    pub aliases: Option<Vec<String>>,
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    #[serde(flatten)]
    pub address: Address,
    #[serde(rename = "DNSNames")]
    pub dns_names: Option<Vec<String>>,
}

impl NetworkSettings {
    pub(super) fn of(recipe: &Recipe) -> NetworkSettings {
        let network = recipe.request.network.name().to_owned();
        NetworkSettings { networks: [(network, Endpoint::default())].into(), ..NetworkSettings::default() }
    }
}
