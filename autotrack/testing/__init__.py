"""Contracts that anyone's store can be tested against, with pytest.

    from autotrack.testing import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            store = MyStore(tmp_path)
            yield store
            store.close()

Every test of `StoreContract` begins with an empty store and asks one guarantee of `autotrack.stores.base.Store`.
"""

from __future__ import annotations

from autotrack.testing.stores import StoreContract

__all__ = ["StoreContract"]
