"""The maintainer's side of `grants`: finding a round, writing an application, following it. Forms, pages and API."""
