roulette_test(NAME test_wire_commands TIER unit SOURCES wire_commands_test.cpp LINK roulette_wire)
roulette_test(NAME test_wire_codec TIER unit SOURCES wire_codec_test.cpp LINK roulette_wire)
roulette_test(NAME test_wire_key TIER unit SOURCES wire_key_test.cpp LINK roulette_wire)
