/* SPDX-License-Identifier: MIT */
/*
 * echo.cpp - an echo server with Boost.Asio, on one thread and told so.
 */
#include <boost/asio.hpp>
#include <boost/version.hpp>

#include <memory>
#include <utility>

#include "peers/echo.h"

namespace asio = boost::asio;
using asio::ip::tcp;

class connection : public std::enable_shared_from_this<connection>
{
  public:
    explicit connection(tcp::socket socket) : socket_(std::move(socket)) {}

    void read()
    {
        socket_.async_read_some(
            asio::buffer(buf_),
            [self = shared_from_this()](const boost::system::error_code &error, size_t got) {
                if (!error)
                    self->write(got);
            });
    }

  private:
    void write(size_t bytes)
    {
        asio::async_write(
            socket_, asio::buffer(buf_, bytes),
            [self = shared_from_this()](const boost::system::error_code &error, size_t) {
                if (!error)
                    self->read();
            });
    }

    tcp::socket socket_;
    char buf_[ECHO_BUFFER_BYTES];
};

static void accept_next(tcp::acceptor &acceptor)
{
    acceptor.async_accept([&](const boost::system::error_code &error, tcp::socket socket) {
        /* Not make_shared, which would clear the buffer. */
        if (!error)
            std::shared_ptr<connection>(new connection(std::move(socket)))->read();
        accept_next(acceptor);
    });
}

int main(int argc, char **argv)
{
    char version[64];

    snprintf(version, sizeof version, "Boost.Asio %d.%d", BOOST_VERSION / 100000,
             BOOST_VERSION / 100 % 1000);
    int fd = echo_listen(argc, argv, version);
    asio::io_context context(1);
    tcp::acceptor acceptor(context, tcp::v4(), fd);
    accept_next(acceptor);
    context.run();
    return 0;
}
