(defchor pinging [A B] (-> A B) [n]
  (ponging [A B] n))
