(import klorpy [run-role])
(defn fetch [url] url)
(defchor get-page [A B] (-> A B) [url]
  (A->B (A (await (fetch url)))))
(run-role {"role" "A" "send" print "locators" {"B" 1}} get-page "http://example.org")
