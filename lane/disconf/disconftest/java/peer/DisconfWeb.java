import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Executors;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooKeeper;

/**
 * Does what a disconf-web does, for one app: the GETs of clients; signing in, listing, creating, changing and removing
 * values, and reading what clients report. A change is kept first, and then notified if a client has made the node; a
 * notification that fails is an error, and the change stays. A session of somebody signed in ends when a line "-" asks for it.
 *
 * <p>Arguments: ZooKeeper's servers, those that clients are told, the prefix, the app's folder like app_version_env, user, password, and keys like
 * item/abt2.online, whose ids are 1, 2, …. It prints its port. A line "KEY VALUE" on standard input changes a value as
 * an operator does, and is answered by a line. It ends with standard input.
 */
public class DisconfWeb implements Watcher {
    private final Map<String, String> values = new LinkedHashMap<String, String>();
    private final List<String> ids = new ArrayList<String>(); // keys in the order in which they were created
    private final String hosts;
    private final String told;
    private final String prefix;
    private final String app;
    private final String user;
    private final String password;
    private volatile String session = UUID.randomUUID().toString();
    private ZooKeeper zk;

    public static void main(String[] args) throws Exception {
        DisconfWeb web = new DisconfWeb(args);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", exchange -> {
            try (HttpExchange e = exchange) {
                web.serve(e);
            }
        });
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.start();
        System.out.println(server.getAddress().getPort());
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line; (line = in.readLine()) != null;) {
            if (line.equals("-")) {
                web.session = UUID.randomUUID().toString();
                System.out.println("ok");
                continue;
            }
            int space = line.indexOf(' ');
            String said = web.change(line.substring(0, space), line.substring(space + 1).replace("\\n", "\n"));
            System.out.println(said);
        }
        System.exit(0);
    }

    private DisconfWeb(String[] args) throws IOException {
        hosts = args[0];
        told = args[1];
        prefix = args[2];
        app = args[3];
        user = args[4];
        password = args[5];
        for (int i = 6; i < args.length; i++) {
            values.put(args[i], "");
            ids.add(args[i]);
        }
        zk = new ZooKeeper(hosts, 10000, this);
    }

    @Override
    public synchronized void process(WatchedEvent event) {
        if (event.getState() == Event.KeeperState.Expired) {
            try {
                zk = new ZooKeeper(hosts, 10000, this);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private synchronized String change(String key, String value) {
        values.put(key, value);
        try {
            String told = key.startsWith("file/") ? quote(value) : value;
            zk.setData(prefix + "/" + app + "/" + key, told.getBytes("UTF-8"), -1);
        } catch (KeeperException.NoNodeException e) {
            return "ok"; // nobody watches
        } catch (Exception e) {
            return e.toString();
        }
        return "ok";
    }

    private void serve(HttpExchange e) throws IOException {
        String path = e.getRequestURI().getPath();
        Map<String, String> query = form(e.getRequestURI().getRawQuery());
        Map<String, String> body = form(new String(e.getRequestBody().readAllBytes(), "UTF-8"));
        if (path.equals("/api/zoo/hosts")) {
            answer(e, valueVo(told));
        } else if (path.equals("/api/zoo/prefix")) {
            answer(e, valueVo(prefix));
        } else if (path.startsWith("/api/config/")) {
            fetch(e, path.substring("/api/config/".length()), query);
        } else if (path.equals("/api/account/signin")) {
            signIn(e, body);
        } else if (!String.valueOf(e.getRequestHeaders().getFirst("Cookie")).contains(session)) {
            answer(e, "{\"message\":{\"global\":\"login.error\"},\"sessionId\":\"\",\"success\":\"false\",\"status\":2006}");
        } else {
            administer(e, path.split("/"), query, body);
        }
    }

    private void fetch(HttpExchange e, String folder, Map<String, String> query) throws IOException {
        String value;
        synchronized (this) {
            value = values.get(folder + "/" + query.get("key"));
        }
        if (!app.equals(query.get("app") + "_" + query.get("version") + "_" + query.get("env")) || value == null) {
            if (folder.equals("file")) {
                e.sendResponseHeaders(404, -1);
                return;
            }
            answer(e, "{\"status\":0,\"message\":\"not found\",\"value\":\"\"}");
            return;
        }
        answer(e, folder.equals("file") ? value : valueVo(value));
    }

    private void signIn(HttpExchange e, Map<String, String> body) throws IOException {
        if (!user.equals(body.get("name")) || !password.equals(body.get("password")) || body.get("remember") == null) {
            answer(e, "{\"message\":{\"field\":{\"password\":\"wrong\"}},\"sessionId\":\"\",\"success\":\"false\",\"status\":2001}");
            return;
        }
        e.getResponseHeaders().add("Set-Cookie", "JSESSIONID=" + session + "; Path=/; HttpOnly");
        answer(e, "{\"message\":{},\"sessionId\":\"" + session + "\",\"success\":\"true\",\"result\":{\"visitor\":{\"name\":" + quote(user) + "}}}");
    }

    /** /api/app/list, /api/env/list, and below /api/web/config: simple/list, item, filetext, item/ID, filetext/ID, zk/ID, ID. */
    private synchronized void administer(HttpExchange e, String[] path, Map<String, String> query, Map<String, String> body) throws IOException {
        String[] name = app.split("_"); // app, a version of four numbers, env
        String how = e.getRequestMethod() + " " + String.join("/", List.of(path).subList(2, path.length));
        String last = path[path.length - 1];
        if (how.equals("GET app/list")) {
            answer(e, page("{\"id\":7,\"name\":" + quote("elsewhere") + "},{\"id\":8,\"name\":" + quote(name[0]) + "}", 2));
        } else if (how.equals("GET env/list")) {
            answer(e, page("{\"id\":3,\"name\":\"rd\"},{\"id\":4,\"name\":" + quote(name[name.length - 1]) + "}", 2));
        } else if (how.equals("GET web/config/simple/list")) {
            list(e, query);
        } else if (how.equals("POST web/config/item") || how.equals("POST web/config/filetext")) {
            create(e, last, body);
        } else if (last.matches("[0-9]+")) {
            byId(e, how.substring(0, how.length() - last.length()), Integer.parseInt(last), body);
        } else {
            answer(e, failure("param.error"));
        }
    }

    private boolean elsewhere(Map<String, String> where) {
        return !"8".equals(where.get("appId")) || !"4".equals(where.get("envId")) || !app.contains("_" + where.get("version") + "_");
    }

    private void list(HttpExchange e, Map<String, String> query) throws IOException {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < ids.size() && !elsewhere(query); i++) {
            String key = ids.get(i);
            if (key != null) {
                int slash = key.indexOf('/');
                out.append(out.length() == 0 ? "" : ",").append("{\"configId\":").append(i + 1).append(",\"key\":").append(quote(key.substring(slash + 1)));
                out.append(",\"typeId\":").append(key.startsWith("item/") ? 1 : 0).append(",\"value\":\"\"}");
            }
        }
        answer(e, page(out.toString(), ids.size()));
    }

    private void create(HttpExchange e, String folder, Map<String, String> body) throws IOException {
        String key = folder.equals("item") ? "item/" + body.get("key") : "file/" + body.get("fileName");
        String value = body.get(folder.equals("item") ? "value" : "fileContent");
        if (elsewhere(body) || value == null || value.isEmpty() || values.containsKey(key)) {
            answer(e, failure("key.exist"));
            return;
        }
        values.put(key, value);
        ids.add(key);
        answer(e, done());
    }

    private void byId(HttpExchange e, String how, int id, Map<String, String> body) throws IOException {
        String key = id > 0 && id <= ids.size() ? ids.get(id - 1) : null;
        String value = how.equals("PUT web/config/item/") ? body.get("value") : body.get("fileContent");
        if (key == null) {
            answer(e, failure("config.id.not.exist"));
        } else if (how.equals("GET web/config/zk/")) {
            answer(e, reported(key));
        } else if (how.equals("DELETE web/config/")) {
            values.remove(key);
            ids.set(id - 1, null);
            answer(e, done());
        } else if (value == null || value.isEmpty() || !how.startsWith("PUT ")) {
            answer(e, failure("param.error"));
        } else {
            String said = change(key, value);
            answer(e, said.equals("ok") ? done() : failure(said));
        }
    }

    private synchronized String reported(String key) {
        StringBuilder out = new StringBuilder();
        int size = 0;
        try {
            for (String machine : zk.getChildren(prefix + "/" + app + "/" + key, false)) {
                byte[] data = zk.getData(prefix + "/" + app + "/" + key + "/" + machine, false, null);
                out.append(size++ == 0 ? "" : ",").append("{\"machine\":").append(quote(machine));
                out.append(",\"value\":").append(quote(new String(data, "UTF-8"))).append(",\"errorList\":[]}");
            }
        } catch (KeeperException.NoNodeException e) {
            return "{\"message\":{},\"sessionId\":\"\",\"success\":\"true\",\"result\":{\"datalist\":null,\"errorNum\":0,\"machineSize\":0}}";
        } catch (Exception e) {
            return failure(e.toString());
        }
        return "{\"message\":{},\"sessionId\":\"\",\"success\":\"true\",\"result\":{\"datalist\":[" + out + "],\"errorNum\":0,\"machineSize\":" + size + "}}";
    }

    private static Map<String, String> form(String text) throws IOException {
        Map<String, String> out = new HashMap<String, String>();
        for (String pair : text == null || text.isEmpty() ? new String[0] : text.split("&")) {
            int is = pair.indexOf('=');
            if (is > 0) {
                out.put(URLDecoder.decode(pair.substring(0, is), "UTF-8"), URLDecoder.decode(pair.substring(is + 1), "UTF-8"));
            }
        }
        return out;
    }

    private static String valueVo(String value) {
        return "{\"status\":1,\"message\":\"\",\"value\":" + quote(value) + "}";
    }

    private static String done() {
        return "{\"message\":{},\"sessionId\":\"\",\"success\":\"true\",\"result\":\"ok\"}";
    }

    private static String page(String result, int count) {
        return "{\"message\":{},\"sessionId\":\"\",\"success\":\"true\",\"page\":{\"totalCount\":" + count + ",\"result\":[" + result + "]}}";
    }

    private static String failure(String why) {
        return "{\"message\":{\"global\":" + quote(why) + "},\"sessionId\":\"\",\"success\":\"false\",\"status\":1000}";
    }

    private static String quote(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
    }

    private static void answer(HttpExchange e, String body) throws IOException {
        byte[] b = body.getBytes("UTF-8");
        e.sendResponseHeaders(200, b.length == 0 ? -1 : b.length);
        e.getResponseBody().write(b);
    }
}
