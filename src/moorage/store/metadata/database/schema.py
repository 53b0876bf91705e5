"""What all tables are declared with: the MetaData, the type of growing ids, and partial indexes."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Index, Integer, MetaData, TextClause

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BIG_ID = BigInteger().with_variant(Integer, "sqlite")


def index_of_some(name: str, some: TextClause, *columns: ColumnElement[Any], unique: bool = False) -> None:
    """Declare a partial index: of the rows for which `some` is true."""
    Index(name, *columns, unique=unique, sqlite_where=some, postgresql_where=some)
