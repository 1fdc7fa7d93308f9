"""Code pages of Windows, guessed by the letters of a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.vector.readers import encodings
from services.vector.readers.encodings import Encoding

TEXTS = {
    "cp1250": (
        "Łódź;Gdańsk;Kraków;Białystok;Wąbrzeźno",
        "Województwo łódzkie, ulica Żeromskiego",
        "České Budějovice;Plzeň;Ústí nad Labem;Třebíč;Hradec Králové",
        "Győr;Székesfehérvár;Hódmezővásárhely;Gyűrű;Ózd",
        "Čakovec;Šibenik;Đakovo;Međimurje;Požega",
        "Ljubljana Šiška;Črnomelj;Žalec;Krško",
        "Košice;Žilina;Ľubovňa;Michalovce;Banská Štiavnica;Liptovský Mikuláš",
        "Bucureşti;Iaşi;Braşov;Timişoara;Galaţi;Bistriţa-Năsăud",
    ),
    "cp1251": ("Москва;Санкт-Петербург;Новосибирск", "София;Пловдив;Варна", "Київ;Львів;Одеса"),
    "cp1252": (
        "München;Köln;Größe;Straße;Düsseldorf",
        "Orléans;Besançon;Nîmes;Évry;Sète;où;naïf;œuvre;Noël;août;dû",
        "Málaga;Coruña;Cádiz;¿Qué?;¡Hola!;Güímar",
        "São Paulo;Conceição;Évora;Açores;Órgão;põe",
        "Forlì;Cantù;città;perché;più",
        "København;Ærø;Ålborg;Sønderjylland",
        "Tromsø;Ålesund;Bodø;Færder",
        "Göteborg;Malmö;Jyväskylä;Hämeenlinna",
        "Reykjavík;Þingvellir;Seyðisfjörður;Ísafjörður;Mývatn",
        "Põltsamaa;Võru;Tõrva;Pärnu;Jõgeva;Märjamaa",
        "Volumen m³;Fläche m²;½ Straße;£5;10 °C;5 µm",
        "L'Haÿ-les-Roses;Llançà;Müller;Perú;Curaçao;reünie",
    ),
    "cp1253": ("Αθήνα;Θεσσαλονίκη;Πάτρα;Ηράκλειο",),
    "cp1254": ("İstanbul;Şanlıurfa;Muğla;Diyarbakır;Çanakkale;Gümüşhane;Iğdır",),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts])
def test_a_text_of_excel_is_read_by_the_code_page_of_its_country(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(f"name;lat;lon\n{text}\n".encode(name))
    assert encodings.detect(tmp_path / "a.csv") == Encoding(name, "content")
