import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URL;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;

/**
 * An edge service as an old estate has it: disconf tells it what is online, and it puts that into each Navi call that
 * a request causes, to an instance of the version that the environment names, which it finds in ZooKeeper. Arguments:
 * the address of disconf's GETs, app, version and env; module, namespace and interface to call. It prints its address.
 *
 * A request is answered with a line for each of its calls: the environment and version that were meant, and the
 * version and environment that have answered, with tabs between.
 */
public class EdgeService implements Watcher {
    private static final int SESSION_MILLIS = 10000;
    private static final int CALLS = 3; // of one request
    private static final int ATTEMPTS = 2; // of one call

    /** What is online: an id and the map that belongs to it, never changed apart. */
    private static final class Online {
        final String id;
        final String number; // of the module's version

        Online(String id, String number) {
            this.id = id;
            this.number = number;
        }
    }

    private final String server;
    private final String app;
    private final String query;
    private final String module;
    private final String namespace;
    private final String service;
    private final String report = "edge_" + UUID.randomUUID();
    private final CountDownLatch connected = new CountDownLatch(1);
    private ZooKeeper zk;
    private String node;
    private volatile Online online;

    private EdgeService(String[] args) {
        server = "http://" + args[0];
        app = args[1] + "_" + args[2] + "_" + args[3];
        query = "?app=" + args[1] + "&version=" + args[2] + "&env=" + args[3] + "&type=1&key=";
        module = args[4];
        namespace = args[5];
        service = args[6];
    }

    public static void main(String[] args) throws Exception {
        EdgeService e = new EdgeService(args);
        e.follow();
        HttpServer http = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        http.setExecutor(Executors.newCachedThreadPool());
        http.createContext("/", e::serve);
        http.start();
        System.out.println("127.0.0.1:" + http.getAddress().getPort());
        while (System.in.read() >= 0) {
            continue; // until the test ends
        }
        e.zk.close();
        System.exit(0);
    }

    private void follow() throws Exception {
        zk = new ZooKeeper(value(get("/api/zoo/hosts")), SESSION_MILLIS, this);
        connected.await();
        node = value(get("/api/zoo/prefix")) + "/" + app + "/item/abt2.online";
        update();
    }

    /** Takes up what is online, reports that it is in effect, and watches on. */
    private synchronized void update() throws Exception {
        String id;
        do {
            id = value(get("/api/config/item" + query + "abt2.online"));
            String map = value(get("/api/config/item" + query + "abt2.environment." + id));
            online = new Online(id, first(map, "\"" + module + "\":\"" + module + "@(\\d+)\""));
            if (zk.exists(node + "/" + report, false) == null) {
                zk.create(node + "/" + report, id.getBytes("UTF-8"), Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            } else {
                zk.setData(node + "/" + report, id.getBytes("UTF-8"), -1);
            }
        } while (!new String(zk.getData(node, this, null), "UTF-8").equals(id)); // it has changed meanwhile
    }

    @Override
    public void process(WatchedEvent event) {
        connected.countDown();
        if (event.getType() != Event.EventType.NodeDataChanged) {
            return;
        }
        try {
            update();
        } catch (Exception e) {
            System.err.println("edge: " + e);
        }
    }

    private void serve(HttpExchange x) throws IOException {
        Online now = online; // for all that this request causes
        StringBuilder out = new StringBuilder();
        int status = 200;
        try {
            for (int i = 0; i < CALLS; i++) {
                out.append(now.id).append('\t').append(module).append('@').append(now.number).append('\t').append(call(now)).append('\n');
            }
        } catch (Exception e) {
            status = 502;
            out.append(e).append('\n');
        }
        byte[] body = out.toString().getBytes("UTF-8");
        x.sendResponseHeaders(status, body.length);
        x.getResponseBody().write(body);
        x.close();
    }

    /** Calls an instance of the version that the environment names, and another one if that fails. */
    private String call(Online now) throws Exception {
        String place = "/navi_rpc/" + namespace + "/" + now.number + "/" + service;
        List<String> instances;
        try {
            instances = zk.getChildren(place, false);
        } catch (KeeperException e) {
            throw new IOException(place + ": " + e.getMessage());
        }
        int first = instances.isEmpty() ? 0 : ThreadLocalRandom.current().nextInt(instances.size());
        Exception last = new IOException("nobody stands at " + place);
        for (int i = 0; i < Math.min(ATTEMPTS, instances.size()); i++) {
            try {
                return post(instances.get((first + i) % instances.size()), now.id);
            } catch (IOException e) {
                last = e;
            }
        }
        throw last;
    }

    private String post(String address, String environment) throws Exception {
        HttpURLConnection c = (HttpURLConnection) new URL("http://" + address + "/service_api/Hops").openConnection();
        c.setConnectTimeout(1000);
        c.setReadTimeout(10000);
        c.setDoOutput(true);
        c.setRequestProperty("Content-Type", "application/baidu.json;charset=UTF-8");
        c.setRequestProperty("Abt2-Env", environment);
        try (OutputStream out = c.getOutputStream()) {
            out.write(("{\"traceId\":1,\"method\":\"own\",\"parameters\":[],\"paramterTypes\":[],\"abt2Env\":\"" + environment + "\"}").getBytes("UTF-8"));
        }
        String answer = read(c);
        return first(answer, "\"Version\":\"([^\"]+)\"") + "\t" + first(answer, "\"Environment\":(\\d+)");
    }

    private String get(String path) throws IOException {
        return read((HttpURLConnection) new URL(server + path).openConnection());
    }

    private static String read(HttpURLConnection c) throws IOException {
        try (InputStream in = c.getInputStream()) { // fails on a refusal
            return new String(in.readAllBytes(), "UTF-8");
        }
    }

    /** Takes the value out of disconf's envelope. */
    private static String value(String body) throws IOException {
        first(body, "\"status\":(1)");
        return first(body, "\"value\":\"(.*)\"").replace("\\\"", "\"");
    }

    private static String first(String text, String pattern) throws IOException {
        Matcher m = Pattern.compile(pattern).matcher(text);
        if (!m.find()) {
            throw new IOException(text + ": has no " + pattern);
        }
        return m.group(1);
    }
}
