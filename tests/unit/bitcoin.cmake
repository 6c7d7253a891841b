roulette_test(NAME test_bitcoin TIER unit
  SOURCES bitcoin_transaction_test.cpp bitcoin_sighash_test.cpp bitcoin_address_test.cpp
          bitcoin_chain_test.cpp
  LINK roulette_bitcoin roulette_crypto)
