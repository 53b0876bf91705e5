"""The registry as one object: the services of all capabilities, over one database and one blob store."""

from dataclasses import dataclass

from moorage.clock import Clock
from moorage.registry.account_settings.service import AccountSettings
from moorage.registry.images.service import Images
from moorage.registry.layers.service import Layers
from moorage.registry.layers.uploads import Uploads
from moorage.registry.layers.verification import Verification
from moorage.registry.registry_policies.service import RegistryPolicies
from moorage.registry.repositories.resource_tags import ResourceTags
from moorage.registry.repositories.service import Repositories
from moorage.registry.repository_policies.service import RepositoryPolicies
from moorage.registry.trash.service import Trash
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.epoch import Epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The services of all capabilities."""

    repositories: Repositories
    images: Images
    layers: Layers
    uploads: Uploads
    repository_policies: RepositoryPolicies
    registry_policies: RegistryPolicies
    account_settings: AccountSettings
    trash: Trash
    resource_tags: ResourceTags
    verification: Verification


def make_registry(
    db: Database, blobs: BlobStore, clock: Clock, settings: Settings, epochs: Epochs | None = None
) -> Registry:
    """Return the registry over `db` and `blobs`. `epochs`: the reader of the authorization epoch, if there is one."""
    epochs = epochs or Epochs(db)
    layers = Layers(db, blobs, clock, settings)
    return Registry(
        repositories=Repositories(epochs, clock, settings),
        images=Images(db, clock, settings),
        layers=layers,
        uploads=Uploads(db, blobs, clock, settings),
        repository_policies=RepositoryPolicies(db, clock),
        registry_policies=RegistryPolicies(epochs, clock),
        account_settings=AccountSettings(db, clock),
        trash=Trash(db, blobs, clock, settings),
        resource_tags=ResourceTags(db),
        verification=Verification(layers, clock),
    )
