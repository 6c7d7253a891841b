// Asio's own sources, compiled once for the whole project (BOOST_ASIO_SEPARATE_COMPILATION).
//
// Nothing of ours is here. asio/ssl is not part of it: tls_transport.cpp speaks to OpenSSL
// directly.
#include <boost/asio/impl/src.hpp>
