"""Contracts that anyone's store or integration can be tested against, with pytest.

    from autotrack.testing import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            store = MyStore(tmp_path)
            yield store
            store.close()

Every test of `StoreContract` begins with an empty store and asks one guarantee of `autotrack.stores.base.Store`; every
test of `IntegrationContract` asks one promise to the program that is observed; `ArtifactStorageContract` is for what
keeps the files of runs, `RegistryContract` for a store that is a `autotrack.stores.registry.ModelRegistry` too.
"""

from __future__ import annotations

from autotrack.testing.integrations import IntegrationContract
from autotrack.testing.registry import RegistryContract
from autotrack.testing.storages import ArtifactStorageContract
from autotrack.testing.stores import StoreContract

__all__ = ["ArtifactStorageContract", "IntegrationContract", "RegistryContract", "StoreContract"]
