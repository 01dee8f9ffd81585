import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** A proxy as clients are configured to use: HTTP (CONNECT) or SOCKS 5, whichever the client speaks. On a free port of 127.0.0.1. */
final class ForwardProxy implements AutoCloseable {

    private static final int SOCKS_5 = 5;
    private static final int DOMAIN_NAME = 3;

    private final ServerSocket listening;
    private final List<String> targets = new CopyOnWriteArrayList<>();
    private final List<Socket> open = new CopyOnWriteArrayList<>();

    ForwardProxy() {
        try {
            listening = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Thread.ofVirtual().start(this::accept);
    }

    int port() {
        return listening.getLocalPort();
    }

    /** Where clients asked to be connected, {@code <protocol> <host>:<port>}. */
    List<String> targets() {
        return List.copyOf(targets);
    }

    private void accept() {
        try {
            while (true) {
                Socket client = listening.accept();
                open.add(client);
                Thread.ofVirtual().start(() -> serve(client));
            }
        } catch (IOException closed) {
            // The test is over.
        }
    }

    private void serve(Socket client) {
        try (client) {
            DataInputStream in = new DataInputStream(client.getInputStream());
            int first = in.readUnsignedByte();
            try (Socket server = first == SOCKS_5 ? socks(in, client.getOutputStream()) : connect(first, in, client.getOutputStream())) {
                open.add(server);
                Thread.ofVirtual().start(() -> copy(client, server));
                copy(server, client);
            }
        } catch (IOException over) {
            // Either side left.
        }
    }

    private Socket connect(int first, InputStream in, OutputStream out) throws IOException {
        StringBuilder head = new StringBuilder().append((char) first);
        while (head.indexOf("\r\n\r\n") < 0) {
            head.append((char) in.read());
        }
        String[] target = head.toString().split(" ")[1].split(":");
        Socket server = open("http", target[0], Integer.parseInt(target[1]));
        out.write("HTTP/1.1 200 Connected\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
        return server;
    }

    /** RFC 1928, without authentication. */
    private Socket socks(DataInputStream in, OutputStream out) throws IOException {
        in.skipNBytes(in.readUnsignedByte());
        out.write(new byte[] {SOCKS_5, 0});
        in.skipNBytes(3);
        String host = in.readUnsignedByte() == DOMAIN_NAME ? new String(in.readNBytes(in.readUnsignedByte()), StandardCharsets.US_ASCII)
                : InetAddress.getByAddress(in.readNBytes(4)).getHostAddress();
        Socket server = open("socks5", host, in.readUnsignedShort());
        out.write(new byte[] {SOCKS_5, 0, 0, 1, 127, 0, 0, 1, 0, 0});
        return server;
    }

    private Socket open(String protocol, String host, int port) throws IOException {
        targets.add(protocol + " " + host + ":" + port);
        return new Socket(host, port);
    }

    private static void copy(Socket from, Socket to) {
        try {
            from.getInputStream().transferTo(to.getOutputStream());
            to.shutdownOutput();
        } catch (IOException over) {
            // Either side left.
        }
    }

    @Override
    public void close() {
        try {
            listening.close();
            for (Socket socket : open) {
                socket.close();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
