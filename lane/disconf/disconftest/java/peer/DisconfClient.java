import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.StringReader;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;

/**
 * Does what disconf's own client was seen to do, with ZooKeeper's Java client: asks the server for ZooKeeper and the
 * prefix, fetches each value, makes the value's node, hangs an ephemeral child with what is in effect below it, and
 * only then watches; fetches again when told, and reports again. It is used as real/DisconfClient.java is.
 */
public class DisconfClient implements Watcher {
    private static final int SESSION_MILLIS = 10000;

    private final String server = "http://" + setting("conf_server_host");
    private final String app = setting("app") + "_" + setting("version") + "_" + setting("env");
    private final String query =
            "?version=" + setting("version") + "&app=" + setting("app") + "&env=" + setting("env") + "&key=";
    private final String fingerprint = System.getProperty("VCAP_APP_HOST") + "_0_" + UUID.randomUUID();
    private final CountDownLatch connected = new CountDownLatch(1);
    private final Map<String, String> values = new ConcurrentHashMap<String, String>();
    private ZooKeeper zk;
    private String base;

    public static void main(String[] keys) throws Exception {
        DisconfClient c = new DisconfClient();
        c.connect();
        for (String key : keys) {
            c.update(key);
        }
        for (String key : keys) {
            c.inEffect(key);
        }
        System.out.println("ready");
        while (System.in.read() >= 0) {
            continue;
        }
        c.zk.close();
        System.exit(0);
    }

    private static String setting(String name) {
        return System.getProperty("disconf." + name);
    }

    private void connect() throws Exception {
        zk = new ZooKeeper(value(get("/api/zoo/hosts")), SESSION_MILLIS, this);
        connected.await();
        String prefix = value(get("/api/zoo/prefix"));
        base = prefix + "/" + app;
        make(prefix);
        make(base);
        make(base + "/item");
        make(base + "/file");
    }

    /** Fetches a value, reports it and watches, in disconf's order. */
    private void update(String key) throws Exception {
        String value = fetch(key);
        values.put(key, value);
        String node = base + "/" + key;
        make(node);
        byte[] report = (key.startsWith("file/") ? json(properties(value)) : value).getBytes("UTF-8");
        if (zk.exists(node + "/" + fingerprint, false) == null) {
            zk.create(node + "/" + fingerprint, report, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        } else {
            zk.setData(node + "/" + fingerprint, report, -1);
        }
        zk.getData(node, this, null);
    }

    @Override
    public void process(WatchedEvent event) {
        if (event.getPath() == null) {
            connected.countDown();
            return;
        }
        if (event.getType() != Event.EventType.NodeDataChanged) {
            return;
        }
        String key = event.getPath().substring(base.length() + 1);
        try {
            update(key);
            inEffect(key);
        } catch (Exception e) {
            System.err.println(key + ": " + e);
        }
    }

    private void inEffect(String key) throws Exception {
        String value = values.get(key);
        if (key.startsWith("file/")) {
            System.out.println(key + "=" + properties(value));
            return;
        }
        String map = key.equals("item/abt2.online") ? " " + fetch("item/abt2.environment." + value) : "";
        System.out.println(key + "=" + value + map);
    }

    private static Map<String, String> properties(String text) throws Exception {
        Properties all = new Properties();
        all.load(new StringReader(text));
        Map<String, String> sorted = new TreeMap<String, String>();
        for (String name : all.stringPropertyNames()) {
            sorted.put(name, all.getProperty(name));
        }
        return sorted;
    }

    private static String json(Map<String, String> properties) {
        StringBuilder out = new StringBuilder();
        for (Map.Entry<String, String> p : properties.entrySet()) {
            out.append(out.length() == 0 ? "{" : ",");
            out.append('"').append(p.getKey()).append("\":\"").append(p.getValue()).append('"');
        }
        return out.append('}').toString();
    }

    private void make(String path) throws Exception {
        try {
            zk.create(path, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        } catch (KeeperException.NodeExistsException e) {
            return;
        }
    }

    private String fetch(String key) throws Exception {
        String folder = key.substring(0, 4);
        String body = get("/api/config/" + folder + query + key.substring(5) + "&type=" + (folder.equals("file") ? 0 : 1));
        return folder.equals("file") ? body : value(body);
    }

    /** Takes the value out of a ValueVo. */
    private static String value(String body) throws Exception {
        Matcher m = Pattern.compile("\"status\":(\\d).*\"value\":\"(.*)\"").matcher(body);
        if (!m.find() || !m.group(1).equals("1")) {
            throw new Exception("status is not ok. " + body);
        }
        return m.group(2).replace("\\\"", "\"");
    }

    private String get(String path) throws Exception {
        HttpURLConnection c = (HttpURLConnection) new URL(server + path).openConnection();
        if (c.getResponseCode() != 200) {
            throw new Exception("HTTP " + c.getResponseCode() + " " + path);
        }
        try (InputStream in = c.getInputStream()) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            in.transferTo(out);
            return out.toString("UTF-8");
        }
    }
}
