import java.io.*;
import java.net.*;
import java.net.http.*;
import java.nio.channels.FileChannel;
import java.nio.file.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class All {
    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    public static void main(String[] args) throws Exception {
        Process child = new ProcessBuilder("/bin/sh", "-c", "echo child").start();
        check(new String(child.getInputStream().readAllBytes()).equals("child\n") && child.waitFor() == 0, "child");
        check(IntStream.range(0, 2_000_000).parallel().mapToLong(n -> n % 7).sum() == 5_999_995L, "parallel stream");
        ExecutorService pool = Executors.newFixedThreadPool(8);
        check(pool.submit(() -> 42).get() == 42, "pool");
        pool.shutdown();
        Path file = Files.createTempFile("x", "y");
        Files.writeString(file, "text");
        try (FileChannel channel = FileChannel.open(file)) {
            check(channel.map(FileChannel.MapMode.READ_ONLY, 0, 4).get(0) == 't', "map");
        }
        Files.delete(file);
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Thread serving = new Thread(() -> {
                try (Socket s = server.accept()) {
                    s.getInputStream().read(new byte[4096]);
                    s.getOutputStream().write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\naround".getBytes());
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
            serving.start();
            URI uri = URI.create("http://127.0.0.1:" + server.getLocalPort() + "/");
            String got = HttpClient.newHttpClient().send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString()).body();
            check(got.equals("around"), got);
            serving.join();
        }
        System.gc();
        check(Runtime.getRuntime().availableProcessors() > 0, "processors");
        check(NetworkInterface.getByName("lo").isUp(), "lo");
        System.out.println("all is well");
        System.exit(0);
    }
}
